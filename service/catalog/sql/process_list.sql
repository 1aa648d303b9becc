-- name: write
INSERT INTO processes (id, last_seen, value) VALUES ($id, $last_seen, $value::JSON)
ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, value = excluded.value
-- name: remove
DELETE FROM processes WHERE id = $id OR last_seen < $before
-- name: living
SELECT p.value, (SELECT count(*) FROM runs r WHERE r.owner = p.id AND r.status = 'running') AS running
FROM processes p WHERE p.last_seen >= $since
ORDER BY p.value ->> 'started', p.id
