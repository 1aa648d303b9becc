-- name: states
SELECT p.id, p.name, r.document -> 'schedule' AS schedule, coalesce(s.paused, false) AS paused,
       coalesce(s.handled, r.created) AS handled, s.last_fire, s.last_run_id
FROM pipelines p
JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
LEFT JOIN schedules s ON s.pipeline_id = p.id
WHERE p.deleted IS NULL AND json_type(r.document -> 'schedule') = 'OBJECT' AND ($name::VARCHAR IS NULL OR p.name = $name)
ORDER BY p.name
-- name: find
SELECT times, paused, handled, last_fire, last_run_id FROM schedules WHERE pipeline_id = $pipeline_id
-- name: insert
INSERT INTO schedules (pipeline_id, times, handled, paused) VALUES ($pipeline_id, $times, $handled, false)
-- name: change
UPDATE schedules SET times = $times, handled = $handled WHERE pipeline_id = $pipeline_id
-- name: pause
UPDATE schedules SET paused = true WHERE pipeline_id = $pipeline_id
-- name: resume
UPDATE schedules SET paused = false, handled = $handled WHERE pipeline_id = $pipeline_id
-- name: handle
UPDATE schedules SET handled = $handled WHERE pipeline_id = $pipeline_id
-- name: fired
UPDATE schedules SET handled = $due, last_fire = $due, last_run_id = $run_id WHERE pipeline_id = $pipeline_id
-- name: fire
SELECT run_id FROM schedule_fires WHERE pipeline_id = $pipeline_id AND due = $due
-- name: insert_fire
INSERT INTO schedule_fires (pipeline_id, due, since, run_id) VALUES ($pipeline_id, $due, $since, $run_id)
-- name: sweep
DELETE FROM schedule_fires WHERE due < $before
