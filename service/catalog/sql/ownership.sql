-- name: all
SELECT id, name, lower(table_name) AS table_name, owner, visibility, deleted IS NULL AS live
FROM pipelines WHERE deleted IS NULL OR visibility = 'private'
-- name: of_run
SELECT p.name, p.owner, p.visibility, lower(p.table_name) AS table_name FROM runs r JOIN pipelines p ON p.id = r.pipeline_id WHERE r.run_id = $run_id
-- name: of
SELECT id, owner, visibility FROM pipelines WHERE name = $name AND deleted IS NULL
-- name: change
UPDATE pipelines SET owner = $owner, visibility = $visibility WHERE id = $id
-- name: role
SELECT role FROM users WHERE username = $username
-- name: pass_on_revisions
UPDATE revisions SET created_by = NULL
WHERE created_by = $owner AND pipeline_id IN (SELECT id FROM pipelines WHERE owner = $owner)
-- name: pass_on
UPDATE pipelines SET owner = NULL WHERE owner = $owner
