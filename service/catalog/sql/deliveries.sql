-- name: hooks
SELECT document -> 'notify' AS hooks FROM revisions WHERE pipeline_id = $pipeline_id AND revision = $revision
-- name: insert
INSERT INTO deliveries (id, pipeline_id, run_id, revision, hook, event, body, created, state, tries, next_try)
VALUES ($id, $pipeline_id, $run_id, $revision, $hook, $event, $body, $created, 'waiting', 0, $created)
-- name: due
WITH due AS (
    SELECT id, pipeline_id, revision, hook, next_try FROM deliveries WHERE state = 'waiting' AND next_try <= $now
), receivers AS (
    SELECT h.pipeline_id, h.revision, h.hook, r.document -> 'notify' AS hooks,
           lower(regexp_extract(r.document -> 'notify' -> h.hook ->> 'url', '^[^/?#]*//[^/?#]*')) AS receiver
    FROM (SELECT DISTINCT pipeline_id, revision, hook FROM due) h JOIN revisions r USING (pipeline_id, revision)
), numbered AS (
    SELECT id, hooks, receiver, next_try, row_number() OVER (PARTITION BY receiver ORDER BY next_try, id) AS place
    FROM due JOIN receivers USING (pipeline_id, revision, hook)
    WHERE receiver NOT IN (SELECT unnest($without::VARCHAR[]))
), chosen AS (
    SELECT id, hooks, receiver FROM numbered WHERE place <= $each ORDER BY next_try, id LIMIT $limit
)
SELECT d.id, d.pipeline_id, d.run_id, d.hook, d.event, d.body, d.created, d.tries, c.hooks, c.receiver
FROM chosen c JOIN deliveries d USING (id) ORDER BY d.next_try, d.id
-- name: waiting
SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting') AS waits
-- name: outlook
SELECT min(next_try) <= $now AS is_due, min(next_try) FILTER (WHERE next_try > $now) AS later
FROM deliveries WHERE state = 'waiting'
-- name: record
UPDATE deliveries SET state = $state, tries = $tries, next_try = $next_try, error = $error WHERE id = $id
-- name: list
SELECT d.id, d.event, d.run_id, d.state, d.tries, d.created, d.next_try, d.error, d.hook,
       r.document -> 'notify' AS hooks
FROM deliveries d JOIN revisions r ON r.pipeline_id = d.pipeline_id AND r.revision = d.revision
WHERE d.pipeline_id = $pipeline_id
ORDER BY d.created DESC, d.id DESC LIMIT $limit OFFSET $offset
-- name: count
SELECT count(*) AS total FROM deliveries WHERE pipeline_id = $pipeline_id
-- name: sweep
DELETE FROM deliveries WHERE state <> 'waiting' AND created < $before
