-- name: read
SELECT host, value FROM host_pace WHERE host IN (SELECT unnest($hosts::VARCHAR[]))
-- name: now
SELECT (extract(epoch FROM clock_timestamp()))::float8 AS now
-- name: write
INSERT INTO host_pace (host, value, used) VALUES ($host, $value::JSON, now())
ON CONFLICT (host) DO UPDATE SET value = excluded.value, used = excluded.used
-- name: remove
DELETE FROM host_pace WHERE host = $host OR used < now() - INTERVAL '1 day'
