-- name: insert
INSERT INTO refresh_tokens (hash, family, username, issued, expires)
VALUES ($hash, $family, $username, $issued, $expires)
-- name: find
SELECT family, username, issued, expires, spent, revoked FROM refresh_tokens WHERE hash = $hash
-- name: spend
UPDATE refresh_tokens SET spent = $now WHERE hash = $hash
-- name: revoke_family
UPDATE refresh_tokens SET revoked = $now WHERE family = $family AND revoked IS NULL
-- name: revoke_user
UPDATE refresh_tokens SET revoked = $now WHERE username = $username AND revoked IS NULL
-- name: sweep
DELETE FROM refresh_tokens WHERE expires < $now
-- name: sweep_revoked
DELETE FROM revoked_tokens WHERE expires < $now
-- name: deny
INSERT INTO revoked_tokens (jti, expires) VALUES ($jti, $expires)
ON CONFLICT (jti) DO UPDATE SET expires = excluded.expires
-- name: denied
SELECT jti, expires FROM revoked_tokens WHERE expires >= $now
