"""What the forkserver loads for every child, by name: importing this module imports none of it."""

from __future__ import annotations

MODULES = ("polars", "duckdb", "service.query.child.worker", "service.jobs.preload")
