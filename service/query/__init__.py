"""Answering: SQL, data, schema, from children that see only what they were given."""
