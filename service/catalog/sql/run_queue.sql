-- name: active
SELECT value FROM runs
WHERE pipeline_id = $pipeline_id AND status IN ('queued', 'running', 'retrying')
    AND NOT coalesce(run_id = $besides::VARCHAR, false)
ORDER BY sequence LIMIT 1
-- name: count_waiting
SELECT count(*) AS total FROM runs WHERE status IN ('queued', 'retrying')
-- name: due
SELECT pipeline_id, value FROM runs
WHERE (
        status = 'queued'
        OR (status = 'retrying' AND coalesce(substr(value ->> 'retry_at', 1, 19) < $now::VARCHAR, true))
    )
    AND CASE WHEN label IS NULL THEN NOT $only_labelled::BOOLEAN ELSE label = ANY($labels::VARCHAR[]) END
ORDER BY sequence LIMIT 1
-- name: going
SELECT value FROM runs WHERE run_id = $run_id AND status IN ('queued', 'running', 'retrying')
-- name: waiting
SELECT pipeline_id, value FROM runs WHERE status IN ('queued', 'retrying') ORDER BY sequence
-- name: mine
SELECT value FROM runs
WHERE owner = $owner AND status = 'running' AND run_id IN (SELECT unnest($run_ids::VARCHAR[]))
ORDER BY sequence
-- name: note
UPDATE runs SET value = $value::JSON WHERE run_id = $run_id AND status = $status
-- name: show
UPDATE runs SET value = $value::JSON WHERE run_id = $run_id AND status = 'running' AND fence = $fence
-- name: owned
SELECT run_id FROM runs WHERE owner = $owner AND status = 'running'
