"""The catalog: pipelines, revisions, runs, versions and users in one DuckDB file."""
