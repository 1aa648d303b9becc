-- name: pin
INSERT INTO version_pins (pipeline_id, version) VALUES ($pipeline_id, $version) ON CONFLICT DO NOTHING
-- name: unpin
DELETE FROM version_pins WHERE pipeline_id = $pipeline_id AND version = $version
-- name: tag
INSERT INTO version_tags (pipeline_id, tag, version) VALUES ($pipeline_id, $tag, $version)
ON CONFLICT (pipeline_id, tag) DO UPDATE SET version = excluded.version
-- name: untag
DELETE FROM version_tags WHERE pipeline_id = $pipeline_id AND tag = $tag
-- name: tagged
SELECT version FROM version_tags WHERE pipeline_id = $pipeline_id AND tag = $tag
-- name: pins
SELECT version FROM version_pins WHERE pipeline_id = $pipeline_id ORDER BY version
-- name: tags
SELECT version, tag FROM version_tags WHERE pipeline_id = $pipeline_id ORDER BY tag
-- name: held
SELECT version, held FROM versions
WHERE pipeline_id = $pipeline_id AND version IN (SELECT unnest($versions::INTEGER[]))
-- name: newest
SELECT coalesce(max(version), 0) AS version FROM versions WHERE pipeline_id = $pipeline_id AND NOT held
-- name: remember
INSERT INTO deleted_versions (pipeline_id, version, run_id, deleted)
SELECT pipeline_id, version, run_id, $deleted::TIMESTAMP FROM versions
WHERE pipeline_id = $pipeline_id AND version IN (SELECT unnest($versions::INTEGER[]))
-- name: delete
DELETE FROM versions WHERE pipeline_id = $pipeline_id AND version IN (SELECT unnest($versions::INTEGER[]))
-- name: named_by
WITH documents AS (
    SELECT o.name, r.document
    FROM pipelines o JOIN revisions r ON r.pipeline_id = o.id AND r.revision = o.revision
    WHERE o.deleted IS NULL
        AND EXISTS (SELECT 1 FROM pipelines p WHERE p.id = $pipeline_id AND p.deleted IS NULL)
),
steps AS (
    SELECT name, unnest(json_extract(document, '$.collectors[*]')) AS step, 'name' AS field FROM documents
    UNION ALL
    SELECT name, unnest(json_extract(document, '$.processors[*].config.rules[*]')), 'pipeline' FROM documents
)
SELECT step ->> 'version' AS version, name FROM steps
WHERE (step ->> field) = $name AND (step ->> 'version') IN (SELECT unnest($versions::INTEGER[])::VARCHAR)
    AND (field = 'pipeline' OR (step ->> 'type') = 'pipeline')
ORDER BY name
