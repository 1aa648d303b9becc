-- name: all
SELECT hash, value FROM api_keys ORDER BY id
-- name: uses
SELECT id, last_used FROM api_key_uses
-- name: owner
SELECT role FROM users WHERE username = $owner
-- name: insert
INSERT INTO api_keys (id, owner, hash, value) VALUES ($id, $owner, $hash, $value::JSON)
-- name: update
UPDATE api_keys SET value = $value::JSON WHERE id = $id
-- name: delete
DELETE FROM api_keys WHERE id = $id
-- name: delete_of
DELETE FROM api_keys WHERE owner = $owner
-- name: used
INSERT INTO api_key_uses (id, last_used) VALUES ($id, $last_used)
ON CONFLICT (id) DO UPDATE SET last_used = excluded.last_used
-- name: sweep
DELETE FROM api_key_uses WHERE id NOT IN (SELECT id FROM api_keys)
