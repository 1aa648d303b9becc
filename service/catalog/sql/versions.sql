-- name: insert
INSERT INTO versions (pipeline_id, version, run_id, rows, bytes, created, value, held)
VALUES ($pipeline_id, $version, $run_id, $rows, $bytes, $created, $value::JSON, $held)
-- name: update
UPDATE versions SET bytes = $bytes, value = $value::JSON, held = $held
WHERE pipeline_id = $pipeline_id AND version = $version
-- name: newest_number
SELECT greatest(
    (SELECT coalesce(max(version), 0) FROM versions WHERE pipeline_id = $pipeline_id),
    (SELECT coalesce(max(version), 0) FROM deleted_versions WHERE pipeline_id = $pipeline_id)
) AS version
-- name: find
SELECT value FROM versions WHERE pipeline_id = $pipeline_id
    AND version = coalesce($version,
        (SELECT max(version) FROM versions WHERE pipeline_id = $pipeline_id AND NOT held))
-- name: before
SELECT value FROM versions WHERE pipeline_id = $pipeline_id AND version < $version AND NOT held
ORDER BY version DESC LIMIT 1
-- name: count
SELECT count(*) AS total FROM versions WHERE pipeline_id = $pipeline_id
-- name: list
SELECT value FROM versions WHERE pipeline_id = $pipeline_id AND (NOT held OR $held)
ORDER BY version DESC LIMIT $limit OFFSET $offset
-- name: tables
SELECT p.name AS pipeline, p.table_name, v.value
FROM pipelines p JOIN versions v ON v.pipeline_id = p.id
WHERE p.deleted IS NULL AND (v.pipeline_id, v.version) IN (
    SELECT pipeline_id, max(version) FROM versions WHERE NOT held GROUP BY pipeline_id
)
ORDER BY p.table_name
-- name: named
SELECT p.name AS pipeline, p.table_name, v.value
FROM pipelines p JOIN versions v ON v.pipeline_id = p.id
WHERE p.deleted IS NULL AND (lower(p.table_name) = lower($table_name) OR p.name = $table_name)
    AND v.version = coalesce($version, (SELECT max(version) FROM versions WHERE pipeline_id = p.id AND NOT held))
-- name: named_pipeline
SELECT p.id FROM pipelines p
WHERE p.deleted IS NULL AND (lower(p.table_name) = lower($table_name) OR p.name = $table_name)
-- name: tagged
SELECT t.version
FROM pipelines p JOIN version_tags t ON t.pipeline_id = p.id
WHERE p.deleted IS NULL AND (lower(p.table_name) = lower($table_name) OR p.name = $table_name) AND t.tag = $tag
-- name: was_deleted
SELECT 1 AS there FROM deleted_versions WHERE run_id = $run_id
-- name: of
SELECT v.value
FROM pipelines p JOIN versions v ON v.pipeline_id = p.id
WHERE p.deleted IS NULL AND p.name = $name
    AND v.version = coalesce($version, (SELECT max(version) FROM versions WHERE pipeline_id = p.id AND NOT held))
-- name: names
SELECT p.table_name FROM pipelines p
WHERE p.deleted IS NULL AND EXISTS (SELECT 1 FROM versions v WHERE v.pipeline_id = p.id AND NOT v.held)
-- name: published
-- what is in a value is looked at outside of SQL: DuckDB takes many times the size of the values of all rows for it
SELECT value FROM versions WHERE pipeline_id = $pipeline_id AND NOT held
ORDER BY version DESC LIMIT $limit OFFSET $skip
-- name: newest
SELECT p.id, v.value
FROM pipelines p JOIN versions v ON v.pipeline_id = p.id
WHERE p.deleted IS NULL AND (v.pipeline_id, v.version) IN (
    SELECT pipeline_id, max(version) FROM versions WHERE NOT held GROUP BY pipeline_id
)
-- name: replay_of
SELECT version, false AS deleted FROM versions
WHERE pipeline_id = $pipeline_id AND NOT held AND (value ->> 'replay_of') IS NOT NULL
  AND $version IN (CAST(value ->> 'replay_of' AS INTEGER), CAST(value ->> 'continues' AS INTEGER))
UNION ALL
SELECT version, true FROM runs r
WHERE pipeline_id = $pipeline_id AND status = 'completed' AND CAST(value ->> 'replay_of' AS INTEGER) = $version
  AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.pipeline_id = r.pipeline_id AND v.version = r.version)
ORDER BY deleted, version DESC LIMIT 1
-- name: committed
SELECT v.version, v.run_id, p.id AS pipeline_id, p.deleted IS NULL AS live, v.value
FROM versions v JOIN pipelines p ON p.id = v.pipeline_id
ORDER BY p.name, v.version, live
-- name: total
SELECT (SELECT count(*) FROM versions) + (SELECT count(*) FROM pipelines) AS total
-- name: tagged_of
SELECT v.value
FROM pipelines p
JOIN version_tags t ON t.pipeline_id = p.id
JOIN versions v ON v.pipeline_id = p.id AND v.version = t.version
WHERE p.deleted IS NULL AND p.name = $name AND t.tag = $tag
