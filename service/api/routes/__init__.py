"""Routes: one file a resource; each handler parses, makes one call and returns a value."""
