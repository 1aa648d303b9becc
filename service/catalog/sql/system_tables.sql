-- name: pipelines
SELECT p.name, p.table_name, r.document ->> 'description' AS description, p.revision,
    coalesce(newest.status, 'idle') AS status, v.version, v.rows, v.bytes,
    r.document -> 'schedule' ->> 'cron' AS cron, r.document -> 'schedule' ->> 'timezone' AS timezone,
    coalesce(s.paused, false) AS paused,
    p.created AT TIME ZONE 'UTC' AS created, p.created_by, r.created AT TIME ZONE 'UTC' AS updated,
    p.owner, p.visibility
FROM pipelines p
JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
LEFT JOIN schedules s ON s.pipeline_id = p.id
LEFT JOIN (
    SELECT pipeline_id, status FROM runs WHERE sequence IN (SELECT max(sequence) FROM runs GROUP BY pipeline_id)
) newest ON newest.pipeline_id = p.id
LEFT JOIN (
    SELECT pipeline_id, version, rows, bytes FROM versions WHERE (pipeline_id, version) IN (
        SELECT pipeline_id, max(version) FROM versions WHERE NOT held GROUP BY pipeline_id
    )
) v ON v.pipeline_id = p.id
WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
ORDER BY p.name LIMIT $most
-- name: runs
SELECT r.run_id, r.pipeline, r.revision, r.status, CAST(r.value ->> 'attempt' AS INTEGER) AS attempt, r.version,
    coalesce(CAST(r.value ->> 'unchanged' AS BOOLEAN), false) AS unchanged,
    r.rows_collected, r.rows_stored, CAST(r.value ->> 'rows_rejected' AS BIGINT) AS rows_rejected,
    coalesce(json_array_length(r.value -> 'warnings'), 0)::BIGINT AS warnings,
    r.value -> 'error' ->> 'code' AS error_code, r.value -> 'error' ->> 'message' AS error_message,
    r.queued_at AT TIME ZONE 'UTC' AS queued_at, r.start_time AT TIME ZONE 'UTC' AS start_time,
    r.end_time AT TIME ZONE 'UTC' AS end_time, CAST(r.value ->> 'duration' AS DOUBLE PRECISION) AS duration,
    r.peak_memory_bytes, r.requested_by, CAST(r.value ->> 'replay_of' AS INTEGER) AS replay_of,
    CAST(r.value ->> 'restored_from' AS INTEGER) AS restored_from
FROM runs r JOIN pipelines p ON p.id = r.pipeline_id
WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
ORDER BY r.sequence DESC LIMIT $most
-- name: steps
WITH newest AS (
    SELECT r.run_id, r.pipeline, r.sequence, json_extract(r.value, '$.steps[*]') AS steps
    FROM runs r JOIN pipelines p ON p.id = r.pipeline_id
    WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
    ORDER BY r.sequence DESC LIMIT $most
),
each_step AS (
    SELECT run_id, pipeline, sequence, unnest(steps) AS step, generate_subscripts(steps, 1)::BIGINT AS position FROM newest
)
SELECT run_id, pipeline, position, step ->> 'step' AS step, step ->> 'phase' AS phase,
    CAST(step ->> 'started' AS TIMESTAMPTZ) AS start_time, CAST(step ->> 'ended' AS TIMESTAMPTZ) AS end_time,
    CAST(step ->> 'duration' AS DOUBLE PRECISION) AS duration,
    CAST(step ->> 'rows_in' AS BIGINT) AS rows_in, CAST(step ->> 'rows_out' AS BIGINT) AS rows_out,
    CAST(step ->> 'bytes_read' AS BIGINT) AS bytes_read,
    CAST(step ->> 'bytes_written' AS BIGINT) AS bytes_written
FROM each_step
ORDER BY sequence DESC, position LIMIT $most
-- name: versions
SELECT p.name AS pipeline, p.table_name, v.version, v.run_id, CAST(v.value ->> 'revision' AS INTEGER) AS revision,
    CASE WHEN v.held THEN 'held' ELSE 'published' END AS state, v.rows, v.bytes,
    json_array_length(v.value -> 'columns')::BIGINT AS columns, json_array_length(v.value -> 'files')::BIGINT AS parts,
    coalesce(list_sum(json_extract_string(v.value, '$.quarantine[*].rows')::BIGINT[]), 0)::BIGINT AS quarantined,
    EXISTS (SELECT 1 FROM version_pins o WHERE o.pipeline_id = v.pipeline_id AND o.version = v.version) AS pinned,
    coalesce(t.tags, ARRAY[]::VARCHAR[]) AS tags, v.created AT TIME ZONE 'UTC' AS created,
    CAST(v.value ->> 'replay_of' AS INTEGER) AS replay_of,
    CAST(v.value ->> 'restored_from' AS INTEGER) AS restored_from
FROM versions v
JOIN pipelines p ON p.id = v.pipeline_id
LEFT JOIN (
    SELECT pipeline_id, version, array_agg(tag ORDER BY tag) AS tags FROM version_tags GROUP BY pipeline_id, version
) t ON t.pipeline_id = v.pipeline_id AND t.version = v.version
WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
ORDER BY v.created DESC, p.name, v.version DESC LIMIT $most
-- name: column_types
SELECT DISTINCT unnest(json_extract_string(v.value, '$.columns[*].type')) AS type
FROM versions v JOIN pipelines p ON p.id = v.pipeline_id
WHERE p.deleted IS NULL AND NOT v.held
-- name: columns
WITH newest AS (
    SELECT p.name AS pipeline, p.table_name, v.version, json_extract(v.value, '$.columns[*]') AS columns
    FROM versions v JOIN pipelines p ON p.id = v.pipeline_id
    WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
        AND (v.pipeline_id, v.version) IN (
            SELECT pipeline_id, max(version) FROM versions WHERE NOT held GROUP BY pipeline_id
        )
),
each_column AS (
    SELECT pipeline, table_name, version, unnest(columns) AS described, generate_subscripts(columns, 1)::BIGINT AS position
    FROM newest
)
SELECT pipeline, table_name, version, position, described ->> 'name' AS name,
    coalesce(($names::VARCHAR[])[array_position($texts::VARCHAR[], described ->> 'type')], described ->> 'type') AS type
FROM each_column
ORDER BY pipeline, position LIMIT $most
-- name: query_tables
SELECT name, json_extract_string(value, '$.tables[*]') AS tables FROM saved_queries
-- name: queries
SELECT name, value ->> 'description' AS description, value ->> 'sql' AS sql,
    CAST(value ->> 'max_rows' AS BIGINT) AS max_rows,
    coalesce(CAST(value ->> 'cache_seconds' AS BIGINT), 0) AS cache_seconds,
    coalesce(CAST(value ->> 'public' AS BOOLEAN), false) AS public,
    CAST(value ->> 'created' AS TIMESTAMPTZ) AS created, value ->> 'created_by' AS created_by,
    CAST(value ->> 'updated' AS TIMESTAMPTZ) AS updated, value ->> 'updated_by' AS updated_by
FROM saved_queries
WHERE $queries::VARCHAR[] IS NULL OR name = ANY($queries::VARCHAR[])
ORDER BY name LIMIT $most
-- name: quarantine
WITH each_rule AS (
    SELECT p.name AS pipeline, p.table_name, v.version, v.created,
        unnest(json_extract(v.value, '$.refusals[*]')) AS refusal
    FROM versions v JOIN pipelines p ON p.id = v.pipeline_id
    WHERE p.deleted IS NULL AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
)
SELECT pipeline, table_name, version, refusal ->> 'step' AS step, refusal ->> 'rule' AS rule,
    refusal ->> 'column' AS "column", CAST(refusal ->> 'rows' AS BIGINT) AS rows
FROM each_rule
ORDER BY created DESC, pipeline, step, rule LIMIT $most
