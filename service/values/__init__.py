"""Values and their types: type names, casts, parsing, and JSON values as typed columns."""
