-- name: ending
SELECT s.pipeline_id, s.status, r.document -> '$.notify' AS hooks
FROM runs s JOIN revisions r ON r.pipeline_id = s.pipeline_id AND r.revision = s.revision
WHERE s.run_id = $run_id
-- name: insert
INSERT INTO deliveries (id, pipeline_id, run_id, revision, hook, event, body, created, state, tries, next_try)
VALUES ($id, $pipeline_id, $run_id, $revision, $hook, $event, $body, $created, 'waiting', 0, $created)
-- name: due
SELECT d.id, d.pipeline_id, d.run_id, d.hook, d.event, d.body, d.created, d.tries, r.document -> '$.notify' AS hooks
FROM deliveries d JOIN revisions r ON r.pipeline_id = d.pipeline_id AND r.revision = d.revision
WHERE d.state = 'waiting' AND d.next_try <= $now
ORDER BY d.next_try, d.id LIMIT $limit
-- name: next_try
SELECT min(next_try) AS next_try FROM deliveries WHERE state = 'waiting'
-- name: record
UPDATE deliveries SET state = $state, tries = $tries, next_try = $next_try, error = $error WHERE id = $id
-- name: list
SELECT d.id, d.event, d.run_id, d.state, d.tries, d.created, d.next_try, d.error, d.hook,
       r.document -> '$.notify' AS hooks
FROM deliveries d JOIN revisions r ON r.pipeline_id = d.pipeline_id AND r.revision = d.revision
WHERE d.pipeline_id = $pipeline_id
ORDER BY d.created DESC, d.id DESC LIMIT $limit OFFSET $offset
-- name: count
SELECT count(*) AS total FROM deliveries WHERE pipeline_id = $pipeline_id
-- name: sweep
DELETE FROM deliveries WHERE state <> 'waiting' AND created < $before
