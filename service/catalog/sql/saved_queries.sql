-- name: find
SELECT value FROM saved_queries WHERE name = $name
-- name: list
SELECT value FROM saved_queries ORDER BY name
-- name: put
INSERT INTO saved_queries (name, value) VALUES ($name, $value::JSON)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
-- name: delete
DELETE FROM saved_queries WHERE name = $name
