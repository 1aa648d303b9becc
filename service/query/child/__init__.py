"""The child side of a query, the only one that parses user SQL; it runs in a confined process."""
