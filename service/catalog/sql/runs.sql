-- name: insert
INSERT INTO runs (run_id, pipeline_id, pipeline, revision, status, queued_at, start_time, requested_by, value, fence,
    sequence)
VALUES ($run_id, $pipeline_id, $pipeline, $revision, $status, $queued_at, $start_time, $requested_by, $value, $fence,
    (SELECT coalesce(max(sequence), 0) + 1 FROM runs))
-- name: change
UPDATE runs SET status = $status, start_time = $start_time, end_time = $end_time, version = $version,
    rows_collected = $rows_collected, rows_stored = $rows_stored, peak_memory_bytes = $peak_memory_bytes,
    value = $value, fence = coalesce(fence, 0) + $begun
WHERE run_id = $run_id AND status = ANY($before) AND ($fence IS NULL OR fence = $fence)
RETURNING fence
-- name: state
SELECT status, fence FROM runs WHERE run_id = $run_id
-- name: find
SELECT value FROM runs WHERE run_id = $run_id
-- name: newest
SELECT value FROM runs WHERE pipeline_id = $pipeline_id ORDER BY sequence DESC LIMIT 1
-- name: newest_statuses
SELECT pipeline_id, arg_max(status, sequence) AS status FROM runs GROUP BY pipeline_id
-- name: unfinished
SELECT value FROM runs WHERE status IN ('queued', 'running', 'retrying')
-- name: waiting
SELECT pipeline_id, value FROM runs WHERE status IN ('queued', 'retrying') ORDER BY sequence
-- name: count
SELECT count(*) AS total FROM runs WHERE pipeline_id = $pipeline_id AND ($status IS NULL OR status = $status)
-- name: list
SELECT value FROM runs WHERE pipeline_id = $pipeline_id AND ($status IS NULL OR status = $status)
ORDER BY sequence DESC LIMIT $limit OFFSET $offset
-- name: statistics
SELECT
    count(*) AS total_executions,
    count(*) FILTER (status = 'completed') AS successful_executions,
    count(*) FILTER (status IN ('failed', 'interrupted')) AS failed_executions,
    count(*) FILTER (status = 'held') AS held_executions,
    count(*) FILTER (status = 'completed')
        / nullif(count(*) FILTER (status IN ('completed', 'failed', 'interrupted')), 0) AS success_rate,
    avg(seconds) FILTER (status = 'completed') AS average_duration,
    quantile_cont(seconds, 0.5) FILTER (status = 'completed') AS p50_duration,
    quantile_cont(seconds, 0.95) FILTER (status = 'completed') AS p95_duration,
    coalesce(sum(rows_stored) FILTER (status = 'completed'), 0)::BIGINT AS total_rows_processed,
    sum(rows_stored) FILTER (status = 'completed')
        / nullif(sum(seconds) FILTER (status = 'completed'), 0) AS rows_per_second
FROM (SELECT *, epoch(end_time - start_time) AS seconds FROM runs
    WHERE pipeline_id = $pipeline_id AND (value ->> 'restored_from') IS NULL)
-- name: storage
SELECT count(*) AS versions, coalesce(sum(bytes), 0)::BIGINT AS bytes_stored
FROM versions WHERE pipeline_id = $pipeline_id
-- name: last_error
SELECT value FROM runs WHERE pipeline_id = $pipeline_id AND status IN ('failed', 'interrupted')
ORDER BY sequence DESC LIMIT 1
