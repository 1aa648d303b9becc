-- name: insert
INSERT INTO lineage_events (sequence, pipeline_id, run_id, event, time)
VALUES ((SELECT coalesce(max(sequence), 0) + 1 FROM lineage_events), $pipeline_id, $run_id, $event, $time)
-- name: insert_of_run
INSERT INTO lineage_events (sequence, pipeline_id, run_id, event, time)
SELECT (SELECT coalesce(max(sequence), 0) + 1 FROM lineage_events), pipeline_id, run_id, $event, $time
FROM runs WHERE run_id = $run_id
-- name: next
SELECT e.sequence, e.event, e.time, s.value AS run, r.document, v.value AS version, f.due
FROM lineage_events e
JOIN runs s ON s.run_id = e.run_id
JOIN revisions r ON r.pipeline_id = e.pipeline_id AND r.revision = s.revision
LEFT JOIN versions v ON v.pipeline_id = e.pipeline_id AND v.version = s.version
LEFT JOIN schedule_fires f ON f.pipeline_id = e.pipeline_id AND f.run_id = e.run_id
ORDER BY e.sequence LIMIT $limit
-- name: started_by
SELECT v.run_id, p.name
FROM versions v JOIN pipelines p ON p.id = v.pipeline_id
WHERE p.name IN (SELECT unnest($names::VARCHAR[])) AND v.created <= $queued_at AND NOT v.held
ORDER BY v.created DESC, v.run_id DESC LIMIT 1
-- name: remove
DELETE FROM lineage_events WHERE sequence <= $sequence
-- name: surplus
SELECT count(*) AS surplus, max(sequence) AS sequence FROM (
    SELECT sequence, time, row_number() OVER (ORDER BY sequence DESC) AS place FROM lineage_events
) numbered
WHERE place > $most OR time < $before
