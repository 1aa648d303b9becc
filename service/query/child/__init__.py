"""The side of a query that sees user SQL: it runs in a confined process of its own."""
