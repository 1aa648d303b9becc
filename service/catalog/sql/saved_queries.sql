-- name: find
SELECT value FROM saved_queries WHERE name = $name
-- name: list
SELECT value FROM saved_queries ORDER BY name
-- name: put
INSERT OR REPLACE INTO saved_queries (name, value) VALUES ($name, $value)
-- name: delete
DELETE FROM saved_queries WHERE name = $name
