-- name: runs
WITH present AS (
    SELECT status, rows_stored, epoch_us(end_time) - epoch_us(start_time) AS microseconds
    FROM runs WHERE pipeline_id = $pipeline_id AND NOT restored
),
counted AS (
    SELECT
        count(*) AS executions,
        count(*) FILTER (WHERE status = 'completed') AS successful,
        count(*) FILTER (WHERE status IN ('failed', 'interrupted')) AS failed,
        count(*) FILTER (WHERE status = 'held') AS held,
        sum(rows_stored) FILTER (WHERE status = 'completed') AS stored,
        sum(microseconds) FILTER (WHERE status = 'completed') AS microseconds
    FROM present
    UNION ALL
    SELECT executions, successful, failed, held, rows_stored, microseconds FROM run_totals WHERE pipeline_id = $pipeline_id
),
total AS (
    SELECT sum(executions)::BIGINT AS executions, sum(successful)::BIGINT AS successful, sum(failed)::BIGINT AS failed,
        sum(held)::BIGINT AS held, coalesce(sum(stored), 0)::BIGINT AS stored, CAST(sum(microseconds) AS DOUBLE PRECISION) / 1e6 AS seconds
    FROM counted
),
durations AS (
    SELECT microseconds, sum(runs) AS runs
    FROM (
        SELECT microseconds, 1 AS runs FROM present WHERE status = 'completed' AND microseconds IS NOT NULL
        UNION ALL
        SELECT microseconds, runs FROM run_durations WHERE pipeline_id = $pipeline_id
    ) timed
    GROUP BY microseconds
),
ordered AS (
    SELECT microseconds, sum(runs) OVER (ORDER BY microseconds) AS upto, sum(runs) OVER () AS timed FROM durations
),
quantiles AS (
    SELECT CAST(max(timed) AS DOUBLE PRECISION) AS timed,
        CAST(0.5 * (max(timed) - 1) AS DOUBLE PRECISION) AS place50,
        CAST(0.95 * (max(timed) - 1) AS DOUBLE PRECISION) AS place95,
        min(microseconds) FILTER (WHERE upto > floor(0.5 * (timed - 1))) AS low50,
        min(microseconds) FILTER (WHERE upto > ceil(0.5 * (timed - 1))) AS high50,
        min(microseconds) FILTER (WHERE upto > floor(0.95 * (timed - 1))) AS low95,
        min(microseconds) FILTER (WHERE upto > ceil(0.95 * (timed - 1))) AS high95
    FROM ordered
)
SELECT
    executions AS total_executions,
    successful AS successful_executions,
    failed AS failed_executions,
    held AS held_executions,
    CAST(successful AS DOUBLE PRECISION) / nullif(successful + failed, 0) AS success_rate,
    seconds / timed AS average_duration,
    (low50 + (high50 - low50) * (place50 - floor(place50))) / 1e6 AS p50_duration,
    (low95 + (high95 - low95) * (place95 - floor(place95))) / 1e6 AS p95_duration,
    stored AS total_rows_processed,
    stored / nullif(seconds, 0) AS rows_per_second
FROM total, quantiles
-- name: storage
SELECT count(*) AS versions, coalesce(sum(bytes), 0)::BIGINT AS bytes_stored
FROM versions WHERE pipeline_id = $pipeline_id
-- name: last_error
SELECT value FROM runs WHERE pipeline_id = $pipeline_id AND status IN ('failed', 'interrupted')
ORDER BY sequence DESC LIMIT 1
-- name: last
SELECT value FROM runs WHERE pipeline_id = $pipeline_id ORDER BY sequence DESC LIMIT 1
