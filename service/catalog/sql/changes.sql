-- name: states
SELECT p.id, p.name, p.revision, p.owner, p.visibility, coalesce(s.paused, false) AS paused, s.handled, r.run_id,
    r.status, r.value ->> 'waiting_for' AS waiting_for, v.newest, v.total, v.held
FROM pipelines p
LEFT JOIN schedules s ON s.pipeline_id = p.id
LEFT JOIN LATERAL (SELECT max(sequence) AS newest FROM runs WHERE pipeline_id = p.id) n ON true
LEFT JOIN runs r ON r.sequence = n.newest
LEFT JOIN LATERAL (
    SELECT max(version) AS newest, count(*) AS total, sum(CASE WHEN held THEN 1 ELSE 0 END) AS held
    FROM versions WHERE pipeline_id = p.id
) v ON true
WHERE p.deleted IS NULL
