"""Names of the modules that the forkserver loads for every child; importing this module imports none of them."""

from __future__ import annotations

MODULES = ("service.jobs.preload_begin", "polars", "duckdb", "service.query.child.worker", "service.jobs.preload")
