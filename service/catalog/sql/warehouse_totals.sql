-- name: totals
SELECT
    (SELECT count(*) FROM pipelines WHERE deleted IS NULL) AS pipelines,
    count(*) AS versions,
    coalesce(sum(rows), 0)::BIGINT AS rows,
    coalesce(sum(bytes), 0)::BIGINT AS bytes
FROM versions
