"""The routes, one file per resource. Each handler parses, makes one call and returns a value."""
