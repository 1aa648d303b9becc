-- name: all
SELECT username, role, password_hash, created, disabled, tokens_valid_after FROM users ORDER BY username
-- name: insert
INSERT INTO users (username, role, password_hash, created, disabled, tokens_valid_after)
VALUES ($username, $role, $password_hash, $created, false, $tokens_valid_after)
-- name: update
UPDATE users SET role = $role, password_hash = $password_hash, disabled = $disabled,
    tokens_valid_after = $tokens_valid_after
WHERE username = $username
-- name: rehash
UPDATE users SET password_hash = $password_hash WHERE username = $username AND password_hash = $before
-- name: delete
DELETE FROM users WHERE username = $username
