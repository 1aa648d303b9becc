"""How the validator checks rows: rules and foreign keys."""
