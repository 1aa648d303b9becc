-- name: edges
SELECT p.id, p.name, json_extract_string(r.document, '$.trigger.after[*]') AS after
FROM pipelines p JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
WHERE p.deleted IS NULL AND json_type(r.document -> 'trigger') = 'OBJECT'
ORDER BY p.name
-- name: names
SELECT name FROM pipelines WHERE deleted IS NULL
-- name: newest
SELECT p.name, p.id, coalesce(max(v.version), 0) AS version
FROM pipelines p LEFT JOIN versions v ON v.pipeline_id = p.id AND NOT v.held
WHERE p.deleted IS NULL AND p.name IN (SELECT unnest($names::VARCHAR[]))
GROUP BY p.name, p.id
-- name: seen
SELECT pipeline_id, upstream_id, version FROM trigger_inputs
-- name: put
INSERT INTO trigger_inputs (pipeline_id, upstream_id, version) VALUES ($pipeline_id, $upstream_id, $version)
ON CONFLICT (pipeline_id, upstream_id) DO UPDATE SET version = excluded.version
-- name: insert
INSERT INTO trigger_inputs (pipeline_id, upstream_id, version) VALUES ($pipeline_id, $upstream_id, $version)
ON CONFLICT DO NOTHING
-- name: forget
DELETE FROM trigger_inputs WHERE pipeline_id = $pipeline_id AND upstream_id NOT IN (SELECT unnest($upstreams::VARCHAR[]))
-- name: committed
SELECT u.name
FROM pipelines u LEFT JOIN trigger_inputs t ON t.pipeline_id = $pipeline_id AND t.upstream_id = u.id
WHERE u.deleted IS NULL AND u.name IN (SELECT unnest($names::VARCHAR[]))
    AND (SELECT max(version) FROM versions v WHERE v.pipeline_id = u.id AND NOT v.held) > coalesce(t.version, 0)
