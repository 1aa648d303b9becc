"""Queries: SQL, data and schema, answered by child processes that can read only the tables of the query."""
