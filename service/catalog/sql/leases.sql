-- name: renew
UPDATE runs SET leased_until = $leased_until
WHERE owner = $owner AND status = 'running' AND leased_until < $due
RETURNING run_id
-- name: lost
SELECT value FROM runs
WHERE status = 'running' AND NOT coalesce(owner = $owner, false)
    AND ($expired_at::TIMESTAMP IS NULL OR coalesce(leased_until < $expired_at, true))
ORDER BY sequence
