"""Everything that knows a path: the layout of the data directory, files that may be read, uploads."""
