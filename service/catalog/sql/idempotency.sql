-- name: find
SELECT fingerprint, resource, status, headers, body FROM idempotency_keys
WHERE caller = $caller AND key = $key AND created > $oldest
-- name: note
INSERT INTO idempotency_keys (caller, key, fingerprint, created, resource)
VALUES ($caller, $key, $fingerprint, $created, $resource)
ON CONFLICT (caller, key) DO UPDATE SET fingerprint = excluded.fingerprint, created = excluded.created,
    resource = excluded.resource, status = NULL, headers = NULL, body = NULL
WHERE idempotency_keys.created <= $oldest OR idempotency_keys.resource = $found::VARCHAR
-- name: answer
INSERT INTO idempotency_keys (caller, key, fingerprint, created, status, headers, body)
VALUES ($caller, $key, $fingerprint, $created, $status, $headers, $body)
ON CONFLICT (caller, key) DO UPDATE SET fingerprint = excluded.fingerprint, created = excluded.created,
    status = excluded.status, headers = excluded.headers, body = excluded.body
-- name: sweep
DELETE FROM idempotency_keys WHERE created <= $oldest
-- name: forget
DELETE FROM idempotency_keys WHERE caller = $caller
