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
CREATE TABLE schedules (
    pipeline_id VARCHAR PRIMARY KEY,
    times VARCHAR NOT NULL,
    handled TIMESTAMP NOT NULL,
    paused BOOLEAN NOT NULL,
    last_fire TIMESTAMP,
    last_run_id VARCHAR
);
CREATE TABLE schedule_fires (
    pipeline_id VARCHAR NOT NULL,
    due TIMESTAMP NOT NULL,
    since TIMESTAMP NOT NULL,
    run_id VARCHAR,
    PRIMARY KEY (pipeline_id, due)
);
CREATE TABLE trigger_inputs (
    pipeline_id VARCHAR NOT NULL,
    upstream_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, upstream_id)
);
CREATE TABLE deliveries (
    id VARCHAR PRIMARY KEY,
    pipeline_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    hook INTEGER NOT NULL,
    event VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL,
    state VARCHAR NOT NULL,
    tries INTEGER NOT NULL,
    next_try TIMESTAMP,
    error VARCHAR
);
CREATE TABLE version_pins (
    pipeline_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, version)
);
CREATE TABLE version_tags (
    pipeline_id VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, tag)
);
CREATE TABLE deleted_versions (
    pipeline_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    deleted TIMESTAMP NOT NULL,
    PRIMARY KEY (pipeline_id, version)
);
CREATE TABLE unlimited_pipelines (
    pipeline_id VARCHAR PRIMARY KEY
);
INSERT INTO unlimited_pipelines (pipeline_id) SELECT id FROM pipelines;
-- name: to_3
CREATE TABLE lineage_events (
    sequence BIGINT NOT NULL,
    pipeline_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    time TIMESTAMP NOT NULL
);
CREATE TABLE run_totals (
    pipeline_id VARCHAR PRIMARY KEY,
    executions BIGINT NOT NULL,
    successful BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    held BIGINT NOT NULL,
    rows_stored BIGINT NOT NULL,
    microseconds BIGINT NOT NULL
);
CREATE TABLE run_durations (
    pipeline_id VARCHAR NOT NULL,
    microseconds BIGINT NOT NULL,
    runs BIGINT NOT NULL
);
ALTER TABLE versions ADD COLUMN held BOOLEAN DEFAULT false;
ALTER TABLE runs ADD COLUMN owner VARCHAR;
ALTER TABLE runs ADD COLUMN leased_until TIMESTAMP;
ALTER TABLE runs ADD COLUMN restored BOOLEAN DEFAULT false;
UPDATE runs SET restored = true WHERE (value ->> 'restored_from') IS NOT NULL;
CREATE TABLE saved_queries (
    name VARCHAR PRIMARY KEY,
    value JSON NOT NULL
);
-- name: to_4
ALTER TABLE pipelines ADD COLUMN owner VARCHAR;
ALTER TABLE pipelines ADD COLUMN visibility VARCHAR DEFAULT 'shared';
CREATE TABLE audit_heads (
    chain VARCHAR PRIMARY KEY,
    day DATE NOT NULL,
    begin_byte BIGINT NOT NULL,
    end_byte BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    hash VARCHAR NOT NULL,
    closed BOOLEAN NOT NULL,
    dropped BOOLEAN NOT NULL
);
CREATE TABLE api_keys (
    id VARCHAR PRIMARY KEY,
    owner VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    value JSON NOT NULL
);
CREATE TABLE api_key_uses (
    id VARCHAR PRIMARY KEY,
    last_used TIMESTAMP NOT NULL
);
-- name: to_5
ALTER TABLE runs ADD COLUMN label VARCHAR;
CREATE TABLE processes (
    id VARCHAR PRIMARY KEY,
    last_seen TIMESTAMP NOT NULL,
    value JSON NOT NULL
);
-- name: to_6
CREATE TABLE run_events (
    run_id VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    PRIMARY KEY (run_id, id)
);
CREATE TABLE audit_lines (
    chain VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    time TIMESTAMP NOT NULL,
    line VARCHAR NOT NULL,
    PRIMARY KEY (chain, n)
);
