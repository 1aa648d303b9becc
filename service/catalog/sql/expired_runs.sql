-- name: next
SELECT n.run_id, n.pipeline, n.sequence
FROM runs n
JOIN pipelines p ON p.id = n.pipeline_id
JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
LEFT JOIN unlimited_pipelines u ON u.pipeline_id = p.id
WHERE n.status IN (SELECT unnest($ended))
    AND n.end_time < $now::TIMESTAMP - to_days(coalesce(
        TRY_CAST(r.document ->> '$.retention.days' AS INTEGER),
        CASE WHEN u.pipeline_id IS NULL OR (r.document ->> '$.retention') IS NOT NULL THEN $default_days END
    )::INTEGER)
    AND NOT EXISTS (FROM versions v WHERE v.run_id = n.run_id)
    AND NOT EXISTS (FROM lineage_events e WHERE e.run_id = n.run_id)
    AND n.sequence NOT IN (SELECT max(sequence) FROM runs GROUP BY pipeline_id)
    AND n.sequence NOT IN (
        SELECT max(sequence) FROM runs WHERE status IN ('failed', 'interrupted') GROUP BY pipeline_id
    )
ORDER BY n.end_time, n.run_id LIMIT $limit
-- name: total
INSERT INTO run_totals (pipeline_id, executions, successful, failed, held, rows_stored, microseconds)
WITH gone AS MATERIALIZED (
    SELECT * FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids))
)
SELECT pipeline_id, count(*), count(*) FILTER (status = 'completed'),
    count(*) FILTER (status IN ('failed', 'interrupted')), count(*) FILTER (status = 'held'),
    coalesce(sum(rows_stored) FILTER (status = 'completed'), 0),
    coalesce(sum(epoch_us(end_time) - epoch_us(start_time)) FILTER (status = 'completed'), 0)
FROM gone WHERE NOT restored
GROUP BY pipeline_id
ON CONFLICT (pipeline_id) DO UPDATE SET executions = executions + excluded.executions,
    successful = successful + excluded.successful, failed = failed + excluded.failed, held = held + excluded.held,
    rows_stored = rows_stored + excluded.rows_stored, microseconds = microseconds + excluded.microseconds
-- name: durations
INSERT INTO run_durations (pipeline_id, microseconds, runs)
WITH gone AS MATERIALIZED (
    SELECT * FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids))
)
SELECT pipeline_id, epoch_us(end_time) - epoch_us(start_time) AS duration, count(*)
FROM gone
WHERE NOT restored AND status = 'completed' AND start_time IS NOT NULL
GROUP BY pipeline_id, duration
-- name: delete
DELETE FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids))
-- name: crowded
SELECT pipeline_id FROM run_durations GROUP BY pipeline_id HAVING count(*) > $most
-- name: rounded
SELECT CASE WHEN microseconds > 0 THEN round(microseconds, 2 - floor(log10(microseconds))::INTEGER) ELSE 0 END::BIGINT
        AS rounded, sum(runs)::BIGINT AS runs
FROM run_durations WHERE pipeline_id = $pipeline_id GROUP BY rounded
-- name: forget_durations
DELETE FROM run_durations WHERE pipeline_id = $pipeline_id
-- name: insert_durations
INSERT INTO run_durations (pipeline_id, microseconds, runs)
SELECT $pipeline_id, unnest($rounded::BIGINT[]), unnest($runs::BIGINT[])
-- name: forget_deleted_versions
DELETE FROM deleted_versions d
WHERE d.deleted < $before AND EXISTS (
    FROM deleted_versions o WHERE o.pipeline_id = d.pipeline_id AND o.version > d.version
)
