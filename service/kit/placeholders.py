"""``${NAME}`` in a configuration: replaced by a secret at run time; the secret is never shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from service.kit import errors

PATTERN = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
MASK = "***"


def names(text: str) -> set[str]:
    """The names of the secrets in ``text``."""
    return set(PATTERN.findall(text))


def fill(text: str, known: Mapping[str, str], step: str) -> str:
    """``text`` with the values of its secrets. Raises ``errors.Permanent`` for the first without a value."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            raise errors.Permanent(
                f"the secret {name} is not configured; set PENSTOCK_SECRET_{name} where the service runs",
                step=step,
            )
        return known[name]

    return PATTERN.sub(value, text)


def mask(text: str, values: Iterable[str]) -> str:
    """``text`` without any of the secret values (longest first, so that no tail of one is left)."""
    for value in sorted((v for v in values if len(v) >= 4), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
