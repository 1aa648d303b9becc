"""Imported by the forkserver only, before every other module."""

from __future__ import annotations

from service.kit import startup

startup.begin("structlog", "httpx")
