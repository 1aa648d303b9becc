-- name: find
SELECT left_over, failures, (extract(epoch FROM now()::timestamp - counted))::float8 AS counted,
    (extract(epoch FROM now()::timestamp - failed))::float8 AS failed
FROM log_in_counts WHERE key = $key
-- name: count
INSERT INTO log_in_counts (key, left_over, counted, failures) VALUES ($key, $left_over::float8, now(), 0)
ON CONFLICT (key) DO UPDATE SET left_over = excluded.left_over, counted = excluded.counted
-- name: failed
UPDATE log_in_counts SET failed = now(), failures = 1 + CASE
    WHEN failed > now()::timestamp - $forgotten::float8 * INTERVAL '1 second' THEN failures ELSE 0 END
WHERE key = $key
-- name: succeeded
UPDATE log_in_counts SET failures = 0, failed = NULL WHERE key = $key
-- name: sweep
DELETE FROM log_in_counts WHERE counted < now()::timestamp - INTERVAL '1 hour'
