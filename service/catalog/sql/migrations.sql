-- name: to_1
CREATE TABLE properties (
    name VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);
ALTER TABLE runs ADD COLUMN sequence BIGINT;
UPDATE runs SET sequence = place
FROM (SELECT run_id, row_number() OVER (ORDER BY queued_at, run_id) AS place FROM runs) ordered
WHERE ordered.run_id = runs.run_id;
-- name: to_2
ALTER TABLE runs ADD COLUMN fence BIGINT DEFAULT 0;
CREATE TABLE idempotency_keys (
    caller VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL,
    resource VARCHAR,
    status INTEGER,
    headers VARCHAR,
    body BLOB,
    PRIMARY KEY (caller, key)
);
