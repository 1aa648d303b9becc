"""How a CSV file is read: its settings, types, strict checks and malformed rows."""
