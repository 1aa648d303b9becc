-- name: runs
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
-- name: last
SELECT value FROM runs WHERE pipeline_id = $pipeline_id ORDER BY sequence DESC LIMIT 1
