"""A whole installation under kills: API processes, workers, PostgreSQL and an object store, all on loopback."""
