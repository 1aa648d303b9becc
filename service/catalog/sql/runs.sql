-- name: insert
INSERT INTO runs (run_id, pipeline_id, pipeline, revision, status, queued_at, start_time, requested_by, value, fence,
    owner, leased_until, restored, sequence, label)
VALUES ($run_id, $pipeline_id, $pipeline, $revision, $status, $queued_at, $start_time, $requested_by, $value::JSON, $fence,
    $owner, $leased_until, $restored, $sequence, $label)
-- name: newest_sequence
SELECT coalesce(max(sequence), 0) AS sequence FROM runs
-- name: change
UPDATE runs SET status = $status, start_time = $start_time, end_time = $end_time, version = $version,
    rows_collected = $rows_collected, rows_stored = $rows_stored, peak_memory_bytes = $peak_memory_bytes,
    value = $value::JSON, fence = $fence, owner = $owner, leased_until = $leased_until,
    restored = $restored
WHERE run_id = $run_id AND pipeline_id = $pipeline_id AND status = $before
-- name: begin
UPDATE runs SET status = $status, start_time = $start_time, value = $value::JSON, fence = $fence, owner = $owner,
    leased_until = $leased_until
WHERE run_id = $run_id AND pipeline_id = $pipeline_id AND status = $before
-- name: amend
UPDATE runs SET peak_memory_bytes = $peak_memory_bytes, value = $value::JSON
WHERE run_id = $run_id AND pipeline_id = $pipeline_id AND status = $status
-- name: state
SELECT status, fence, pipeline_id FROM runs WHERE run_id = $run_id
-- name: find
SELECT value FROM runs WHERE run_id = $run_id
-- name: newest
SELECT value FROM runs WHERE pipeline_id = $pipeline_id ORDER BY sequence DESC LIMIT 1
-- name: newest_statuses
SELECT pipeline_id, status FROM runs WHERE sequence IN (SELECT max(sequence) FROM runs GROUP BY pipeline_id)
-- name: count
SELECT count(*) AS total FROM runs WHERE pipeline_id = $pipeline_id AND ($status::VARCHAR IS NULL OR status = $status)
-- name: list
SELECT value FROM runs WHERE pipeline_id = $pipeline_id AND ($status::VARCHAR IS NULL OR status = $status)
ORDER BY sequence DESC LIMIT $limit OFFSET $offset
