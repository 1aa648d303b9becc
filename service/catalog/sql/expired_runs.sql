-- name: next
SELECT n.run_id, n.pipeline, n.sequence
FROM runs n
JOIN pipelines p ON p.id = n.pipeline_id
JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
LEFT JOIN unlimited_pipelines u ON u.pipeline_id = p.id
WHERE n.status IN (SELECT unnest($ended::VARCHAR[]))
    AND n.end_time < $now::TIMESTAMP - to_days(CASE
        WHEN (r.document -> 'retention' ->> 'days') SIMILAR TO '[0-9]{1,6}'
            THEN CAST(r.document -> 'retention' ->> 'days' AS INTEGER)
        WHEN u.pipeline_id IS NULL OR (r.document ->> 'retention') IS NOT NULL THEN $default_days::INTEGER
    END)
    AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.run_id = n.run_id)
    AND NOT EXISTS (SELECT 1 FROM lineage_events e WHERE e.run_id = n.run_id)
    AND n.sequence NOT IN (SELECT max(sequence) FROM runs GROUP BY pipeline_id)
    AND n.sequence NOT IN (
        SELECT max(sequence) FROM runs WHERE status IN ('failed', 'interrupted') GROUP BY pipeline_id
    )
ORDER BY n.end_time, n.run_id LIMIT $limit
-- name: total
INSERT INTO run_totals (pipeline_id, executions, successful, failed, held, rows_stored, microseconds)
WITH gone AS MATERIALIZED (
    SELECT * FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids::VARCHAR[]))
)
SELECT pipeline_id, count(*), count(*) FILTER (WHERE status = 'completed'),
    count(*) FILTER (WHERE status IN ('failed', 'interrupted')), count(*) FILTER (WHERE status = 'held'),
    coalesce(sum(rows_stored) FILTER (WHERE status = 'completed'), 0),
    coalesce(sum(epoch_us(end_time) - epoch_us(start_time)) FILTER (WHERE status = 'completed'), 0)
FROM gone WHERE NOT restored
GROUP BY pipeline_id
ON CONFLICT (pipeline_id) DO UPDATE SET executions = run_totals.executions + excluded.executions,
    successful = run_totals.successful + excluded.successful, failed = run_totals.failed + excluded.failed,
    held = run_totals.held + excluded.held, rows_stored = run_totals.rows_stored + excluded.rows_stored,
    microseconds = run_totals.microseconds + excluded.microseconds
-- name: durations
INSERT INTO run_durations (pipeline_id, microseconds, runs)
WITH gone AS MATERIALIZED (
    SELECT * FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids::VARCHAR[]))
)
SELECT pipeline_id, epoch_us(end_time) - epoch_us(start_time) AS duration, count(*)
FROM gone
WHERE NOT restored AND status = 'completed' AND start_time IS NOT NULL
GROUP BY pipeline_id, duration
-- name: delete
DELETE FROM runs WHERE sequence BETWEEN $first AND $last AND run_id IN (SELECT unnest($run_ids::VARCHAR[]))
-- name: delete_events
DELETE FROM run_events WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[]))
-- name: crowded
SELECT pipeline_id FROM run_durations GROUP BY pipeline_id HAVING count(*) > $most
-- name: of
SELECT microseconds, runs FROM run_durations WHERE pipeline_id = $pipeline_id
-- name: forget_durations
DELETE FROM run_durations WHERE pipeline_id = $pipeline_id
-- name: insert_durations
INSERT INTO run_durations (pipeline_id, microseconds, runs)
SELECT $pipeline_id, unnest($rounded::BIGINT[]), unnest($runs::BIGINT[])
-- name: forget_deleted_versions
DELETE FROM deleted_versions d
WHERE d.deleted < $before AND EXISTS (
    SELECT 1 FROM deleted_versions o WHERE o.pipeline_id = d.pipeline_id AND o.version > d.version
)
