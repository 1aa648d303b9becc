-- name: note
INSERT INTO retired_objects (key, noted) SELECT key, now()::timestamp FROM unnest($keys::VARCHAR[]) AS found (key)
ON CONFLICT (key) DO NOTHING
-- name: forget
DELETE FROM retired_objects WHERE NOT key IN (SELECT unnest($keys::VARCHAR[]))
-- name: due
SELECT key FROM retired_objects WHERE noted <= now()::timestamp - $seconds::float8 * INTERVAL '1 second' ORDER BY key
