"""How a source file is found and opened: paths, first bytes and encoding."""
