-- name: surplus
WITH counted AS (
    SELECT p.id, coalesce(
        r.document -> 'retention' ->> 'versions', r.document ->> 'keep_versions',
        (json_extract_string(r.document, '$.storage[*].keep_versions'))[1],
        CASE WHEN u.pipeline_id IS NOT NULL AND (r.document ->> 'retention') IS NULL THEN 'all' END,
        $default_versions
    ) AS kept
    FROM pipelines p
    JOIN revisions r ON r.pipeline_id = p.id AND r.revision = p.revision
    LEFT JOIN unlimited_pipelines u ON u.pipeline_id = p.id
    WHERE p.deleted IS NULL AND ($pipeline_ids::VARCHAR[] IS NULL OR p.id IN (SELECT unnest($pipeline_ids::VARCHAR[])))
),
numbered AS (
    SELECT v.pipeline_id, v.version, v.value,
        row_number() OVER (PARTITION BY v.pipeline_id, v.held ORDER BY v.version DESC) AS place
    FROM versions v WHERE $pipeline_ids::VARCHAR[] IS NULL OR v.pipeline_id IN (SELECT unnest($pipeline_ids::VARCHAR[]))
)
SELECT n.pipeline_id, n.value
FROM numbered n JOIN counted c ON c.id = n.pipeline_id
WHERE n.place > CASE WHEN c.kept SIMILAR TO '[0-9]{1,18}' THEN greatest(1, CAST(c.kept AS BIGINT)) END
    AND NOT EXISTS (SELECT 1 FROM version_pins i WHERE i.pipeline_id = n.pipeline_id AND i.version = n.version)
    AND NOT EXISTS (SELECT 1 FROM version_tags t WHERE t.pipeline_id = n.pipeline_id AND t.version = n.version)
ORDER BY n.pipeline_id, n.version LIMIT 100 OFFSET $skip
