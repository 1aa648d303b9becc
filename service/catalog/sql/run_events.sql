-- name: ends
SELECT r.run_id, r.fence, r.status, r.end_time,
    greatest(coalesce((SELECT max(e.id) FROM run_events e WHERE e.run_id = r.run_id), 0), 0) AS last
FROM runs r WHERE r.run_id IN (SELECT unnest($run_ids::VARCHAR[]))
-- name: insert
INSERT INTO run_events (run_id, id, kind, data)
SELECT unnest($run_ids::VARCHAR[]), unnest($ids::BIGINT[]), unnest($kinds::VARCHAR[]), unnest($data::VARCHAR[])
-- name: page
SELECT id, kind, data FROM run_events WHERE run_id = $run_id AND id > $after ORDER BY id LIMIT $limit
-- name: end
SELECT min(id) AS id FROM run_events WHERE run_id = $run_id AND kind = 'end'
-- name: ended
SELECT value FROM runs
WHERE run_id = $run_id AND end_time IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM run_events e WHERE e.run_id = $run_id AND e.kind = 'end')
-- name: counts
SELECT run_id, count(*) AS events FROM run_events
WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[])) GROUP BY run_id
-- name: runs
SELECT DISTINCT run_id FROM run_events ORDER BY run_id
-- name: clear
DELETE FROM run_events
