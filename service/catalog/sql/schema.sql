-- name: properties
CREATE TABLE properties (
    name VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);
-- name: pipelines
CREATE TABLE pipelines (
    id VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL,
    table_name VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    created TIMESTAMP NOT NULL,
    created_by VARCHAR,
    deleted TIMESTAMP,
    owner VARCHAR,
    visibility VARCHAR DEFAULT 'shared'
);
-- name: revisions
CREATE TABLE revisions (
    pipeline_id VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    document JSON NOT NULL,
    created TIMESTAMP NOT NULL,
    created_by VARCHAR,
    PRIMARY KEY (pipeline_id, revision)
);
-- name: runs
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    pipeline_id VARCHAR NOT NULL,
    pipeline VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    queued_at TIMESTAMP NOT NULL,
    start_time TIMESTAMP,
    end_time TIMESTAMP,
    version INTEGER,
    rows_collected BIGINT,
    rows_stored BIGINT,
    peak_memory_bytes BIGINT,
    requested_by VARCHAR,
    value JSON NOT NULL,
    sequence BIGINT,
    fence BIGINT DEFAULT 0,
    owner VARCHAR,
    leased_until TIMESTAMP,
    restored BOOLEAN DEFAULT false,
    label VARCHAR
);
-- name: versions
CREATE TABLE versions (
    pipeline_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    created TIMESTAMP NOT NULL,
    value JSON NOT NULL,
    held BOOLEAN DEFAULT false,
    PRIMARY KEY (pipeline_id, version)
);
-- name: users
CREATE TABLE users (
    username VARCHAR PRIMARY KEY,
    role VARCHAR NOT NULL,
    password_hash VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL,
    disabled BOOLEAN NOT NULL DEFAULT false,
    tokens_valid_after TIMESTAMP NOT NULL
);
-- name: refresh_tokens
CREATE TABLE refresh_tokens (
    hash VARCHAR PRIMARY KEY,
    family VARCHAR NOT NULL,
    username VARCHAR NOT NULL,
    issued TIMESTAMP NOT NULL,
    expires TIMESTAMP NOT NULL,
    spent TIMESTAMP,
    revoked TIMESTAMP
);
-- name: revoked_tokens
CREATE TABLE revoked_tokens (
    jti VARCHAR PRIMARY KEY,
    expires TIMESTAMP NOT NULL
);
-- name: idempotency_keys
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
-- name: schedules
CREATE TABLE schedules (
    pipeline_id VARCHAR PRIMARY KEY,
    times VARCHAR NOT NULL,
    handled TIMESTAMP NOT NULL,
    paused BOOLEAN NOT NULL,
    last_fire TIMESTAMP,
    last_run_id VARCHAR
);
-- name: schedule_fires
CREATE TABLE schedule_fires (
    pipeline_id VARCHAR NOT NULL,
    due TIMESTAMP NOT NULL,
    since TIMESTAMP NOT NULL,
    run_id VARCHAR,
    PRIMARY KEY (pipeline_id, due)
);
-- name: trigger_inputs
CREATE TABLE trigger_inputs (
    pipeline_id VARCHAR NOT NULL,
    upstream_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, upstream_id)
);
-- name: deliveries
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
-- name: version_pins
CREATE TABLE version_pins (
    pipeline_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, version)
);
-- name: version_tags
CREATE TABLE version_tags (
    pipeline_id VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, tag)
);
-- name: deleted_versions
CREATE TABLE deleted_versions (
    pipeline_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    deleted TIMESTAMP NOT NULL,
    PRIMARY KEY (pipeline_id, version)
);
-- name: unlimited_pipelines
CREATE TABLE unlimited_pipelines (
    pipeline_id VARCHAR PRIMARY KEY
);
-- name: lineage_events
CREATE TABLE lineage_events (
    sequence BIGINT NOT NULL,
    pipeline_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    time TIMESTAMP NOT NULL
);
-- name: run_totals
CREATE TABLE run_totals (
    pipeline_id VARCHAR PRIMARY KEY,
    executions BIGINT NOT NULL,
    successful BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    held BIGINT NOT NULL,
    rows_stored BIGINT NOT NULL,
    microseconds BIGINT NOT NULL
);
-- name: run_durations
CREATE TABLE run_durations (
    pipeline_id VARCHAR NOT NULL,
    microseconds BIGINT NOT NULL,
    runs BIGINT NOT NULL
);
-- name: saved_queries
CREATE TABLE saved_queries (
    name VARCHAR PRIMARY KEY,
    value JSON NOT NULL
);
-- name: audit_heads
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
-- name: api_keys
CREATE TABLE api_keys (
    id VARCHAR PRIMARY KEY,
    owner VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    value JSON NOT NULL
);
-- name: api_key_uses
CREATE TABLE api_key_uses (
    id VARCHAR PRIMARY KEY,
    last_used TIMESTAMP NOT NULL
);
-- name: processes
CREATE TABLE processes (
    id VARCHAR PRIMARY KEY,
    last_seen TIMESTAMP NOT NULL,
    value JSON NOT NULL
);
-- name: run_events
CREATE TABLE run_events (
    run_id VARCHAR NOT NULL,
    id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    PRIMARY KEY (run_id, id)
);
-- name: audit_lines
CREATE TABLE audit_lines (
    chain VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    time TIMESTAMP NOT NULL,
    line VARCHAR NOT NULL,
    PRIMARY KEY (chain, n)
);
