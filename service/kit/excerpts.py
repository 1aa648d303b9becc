"""The beginning of a foreign text, for an error message.

``placeholders.mask`` finds a secret that such an excerpt cuts in two by the ``…`` behind it.
"""

from __future__ import annotations

CUT = "…"


def excerpt(text: str | bytes, most: int) -> str:
    """The first ``most`` letters (of bytes: bytes) of a text, and ``…`` if there are more."""
    begin = text[:most]
    shown = begin.decode("utf-8", "replace") if isinstance(begin, bytes) else begin
    return shown + CUT if len(text) > most else shown
