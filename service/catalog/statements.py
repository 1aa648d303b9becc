"""The named SQL statements of ``sql/*.sql`` (``-- name: insert``)."""

from __future__ import annotations

import re
from importlib import resources

_NAMED = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_sql(name: str) -> dict[str, str]:
    """The statements of ``sql/<name>.sql``, by name."""
    text = resources.files("service.catalog").joinpath("sql", f"{name}.sql").read_text()
    parts = _NAMED.split(text)
    return {parts[i]: parts[i + 1].strip() for i in range(1, len(parts), 2)}
