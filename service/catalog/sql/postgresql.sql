-- name: functions
CREATE OR REPLACE FUNCTION epoch_us(moment timestamp) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (extract(epoch FROM moment) * 1000000)::bigint;

CREATE OR REPLACE FUNCTION to_days(days integer) RETURNS interval
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN make_interval(days => days);

CREATE OR REPLACE FUNCTION regexp_extract(value text, pattern text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN coalesce(substring(value FROM pattern), '');

CREATE OR REPLACE FUNCTION json_type(document json) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN upper(json_typeof(document));

CREATE OR REPLACE FUNCTION json_extract(document json, path text) RETURNS json[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(SELECT found::json FROM jsonb_path_query(document::jsonb, path::jsonpath) found);

CREATE OR REPLACE FUNCTION json_extract_string(document json, path text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(SELECT found #>> '{}' FROM jsonb_path_query(document::jsonb, path::jsonpath) found);

CREATE OR REPLACE FUNCTION list_sum(numbers bigint[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT sum(number)::bigint FROM unnest(numbers) number);
-- name: indexes
CREATE UNIQUE INDEX IF NOT EXISTS runs_sequence ON runs (sequence);
CREATE INDEX IF NOT EXISTS runs_pipeline ON runs (pipeline_id, sequence);
CREATE INDEX IF NOT EXISTS runs_going ON runs (status, sequence) WHERE status IN ('queued', 'retrying', 'running');
CREATE INDEX IF NOT EXISTS runs_end ON runs (end_time);
CREATE INDEX IF NOT EXISTS versions_run ON versions (run_id);
CREATE INDEX IF NOT EXISTS pipelines_name ON pipelines (name);
CREATE UNIQUE INDEX IF NOT EXISTS lineage_events_sequence ON lineage_events (sequence);
CREATE INDEX IF NOT EXISTS lineage_events_run ON lineage_events (run_id);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (next_try) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_pipeline ON deliveries (pipeline_id, created);
CREATE INDEX IF NOT EXISTS run_durations_pipeline ON run_durations (pipeline_id);
CREATE INDEX IF NOT EXISTS refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX IF NOT EXISTS idempotency_keys_created ON idempotency_keys (created);
CREATE INDEX IF NOT EXISTS audit_lines_time ON audit_lines (time, chain, n);
-- name: writers
CREATE TABLE IF NOT EXISTS writers (
    name VARCHAR PRIMARY KEY,
    token VARCHAR NOT NULL,
    used TIMESTAMP NOT NULL
) WITH (fillfactor = 10);
-- name: changes
CREATE TABLE IF NOT EXISTS table_changes (name VARCHAR PRIMARY KEY, changes BIGINT NOT NULL);

CREATE OR REPLACE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO penstock.table_changes (name, changes) VALUES (TG_TABLE_NAME, 1)
    ON CONFLICT (name) DO UPDATE SET changes = table_changes.changes + 1;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pipelines
    EXECUTE FUNCTION note_change();
CREATE OR REPLACE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON revisions
    EXECUTE FUNCTION note_change();
CREATE OR REPLACE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_keys
    EXECUTE FUNCTION note_change();
CREATE OR REPLACE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON users
    EXECUTE FUNCTION note_change();
CREATE OR REPLACE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON revoked_tokens
    EXECUTE FUNCTION note_change();
-- name: hints
CREATE OR REPLACE FUNCTION hint_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('penstock', found.run_id) FROM (SELECT DISTINCT run_id FROM added) found;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER hinted AFTER INSERT ON run_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION hint_events();

CREATE OR REPLACE FUNCTION hint_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('penstock', '');
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER hinted AFTER INSERT OR UPDATE OF status ON runs
    FOR EACH STATEMENT EXECUTE FUNCTION hint_runs();
-- name: throttles
CREATE TABLE IF NOT EXISTS host_pace (
    host VARCHAR PRIMARY KEY,
    value JSON NOT NULL,
    used TIMESTAMP NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS log_in_counts (
    key VARCHAR PRIMARY KEY,
    left_over DOUBLE PRECISION NOT NULL,
    counted TIMESTAMP NOT NULL,
    failures INTEGER NOT NULL,
    failed TIMESTAMP
);
-- name: retired_objects
CREATE TABLE IF NOT EXISTS retired_objects (
    key VARCHAR PRIMARY KEY,
    noted TIMESTAMP NOT NULL
);
