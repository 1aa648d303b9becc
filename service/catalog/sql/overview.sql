-- name: pipelines
SELECT p.id, p.name, r.document ->> 'description' AS description, p.revision, p.owner, p.visibility,
    CASE WHEN json_type(r.document -> 'schedule') = 'OBJECT' THEN r.document -> 'schedule' END AS schedule,
    CASE WHEN json_type(r.document -> 'trigger' -> 'after') = 'ARRAY' THEN r.document -> 'trigger' -> 'after' END
        AS after,
    coalesce(s.paused, false) AS paused, coalesce(s.handled, r.created) AS handled
FROM pipelines p
JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
LEFT JOIN schedules s ON s.pipeline_id = p.id
WHERE p.deleted IS NULL AND ($names::VARCHAR[] IS NULL OR p.name = ANY($names::VARCHAR[]))
ORDER BY p.name
-- name: runs
SELECT pipeline_id, run_id, status, start_time, end_time, label, CAST(value ->> 'duration' AS DOUBLE PRECISION) AS duration,
    CASE WHEN status <> 'completed' THEN value -> 'error' ->> 'code' END AS error_code,
    CASE WHEN status IN ('queued', 'retrying') THEN value ->> 'waiting_for' END AS waiting_for
FROM (
    SELECT pipeline_id, run_id, status, start_time, end_time, label, value,
        row_number() OVER (PARTITION BY pipeline_id ORDER BY sequence DESC) AS place
    FROM runs WHERE $ids::VARCHAR[] IS NULL OR pipeline_id = ANY($ids::VARCHAR[])
) newest
WHERE place <= $most
ORDER BY pipeline_id, place
-- name: versions
SELECT pipeline_id, array_agg(rows ORDER BY version DESC) AS recent_rows, max(version) AS version,
    (array_agg(bytes ORDER BY version DESC))[1] AS bytes, (array_agg(created ORDER BY version DESC))[1] AS created
FROM (
    SELECT pipeline_id, version, rows, bytes, created,
        row_number() OVER (PARTITION BY pipeline_id ORDER BY version DESC) AS place
    FROM versions WHERE NOT held AND ($ids::VARCHAR[] IS NULL OR pipeline_id = ANY($ids::VARCHAR[]))
) newest
WHERE place <= $most
GROUP BY pipeline_id
-- name: successes
SELECT pipeline_id, max(coalesce(start_time, queued_at)) AS last_success
FROM runs WHERE status = 'completed' AND ($ids::VARCHAR[] IS NULL OR pipeline_id = ANY($ids::VARCHAR[]))
GROUP BY pipeline_id
