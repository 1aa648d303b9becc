-- name: find
SELECT p.id, p.name, p.table_name, p.revision, p.created, p.owner, r.document, r.created AS updated, r.created_by AS author
FROM pipelines p JOIN revisions r ON r.pipeline_id = p.id AND r.revision = coalesce($revision, p.revision)
WHERE p.name = $name AND p.deleted IS NULL
-- name: current
SELECT id, name, revision, table_name FROM pipelines WHERE name = $name AND deleted IS NULL
-- name: taken
SELECT name, lower(table_name) = lower($table_name) AS same FROM pipelines
WHERE deleted IS NULL AND name <> $name AND (
    lower(table_name) = lower($table_name)
    OR lower($table_name) || '__quarantine' IN (lower(table_name), name)
    OR $name || '__quarantine' IN (lower(table_name), name)
    OR lower(table_name) || '__quarantine' IN (lower($table_name), $name)
    OR name || '__quarantine' IN (lower($table_name), $name)
)
ORDER BY same DESC
-- name: insert
INSERT INTO pipelines (id, name, table_name, revision, created, created_by, owner)
VALUES ($id, $name, $table_name, 1, $created, $created_by, $owner)
-- name: insert_revision
INSERT INTO revisions (pipeline_id, revision, document, created, created_by)
VALUES ($id, $revision, $document::JSON, $created, $created_by)
-- name: revisions
SELECT revision, created, created_by FROM revisions WHERE pipeline_id = $id AND revision <= $newest
ORDER BY revision DESC LIMIT $limit OFFSET $offset
-- name: update
UPDATE pipelines SET revision = $revision, table_name = $table_name WHERE id = $id
-- name: delete
UPDATE pipelines SET deleted = $deleted WHERE id = $id
-- name: count
SELECT count(*) AS total FROM pipelines
WHERE deleted IS NULL AND ($q::VARCHAR IS NULL OR strpos(name, lower($q)) > 0)
    AND ($readable::VARCHAR[] IS NULL OR name = ANY($readable::VARCHAR[]))
-- name: list
SELECT p.id, p.name, p.table_name, p.revision, p.created, r.document ->> 'description' AS description,
    CASE WHEN json_type(r.document -> 'trigger' -> 'after') = 'ARRAY' THEN r.document -> 'trigger' -> 'after' END
        AS after,
       r.created AS updated, p.owner, p.visibility,
       (SELECT max(v.version) FROM versions v WHERE v.pipeline_id = p.id AND NOT v.held) AS version
FROM pipelines p JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
WHERE p.deleted IS NULL AND ($q::VARCHAR IS NULL OR strpos(p.name, lower($q)) > 0)
    AND ($readable::VARCHAR[] IS NULL OR p.name = ANY($readable::VARCHAR[]))
ORDER BY p.name LIMIT $limit OFFSET $offset
