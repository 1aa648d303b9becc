"""The ``Link`` header (RFC 8288) of an answer: URLs by relation."""

from __future__ import annotations

import re

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LINK = re.compile(rf"<([^<>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:{_QUOTED}|[^\s;,]*))?)*)")
_PARAM = re.compile(rf";\s*([^\s=;,]+)(?:\s*=\s*({_QUOTED}|[^\s;,]*))?")


def relations(header: str) -> dict[str, str]:
    """The first URL of each relation (names in lower case). Malformed parts of the header are ignored."""
    found: dict[str, str] = {}
    for url, params in _LINK.findall(header):
        named = [value.strip("\"'") for name, value in _PARAM.findall(params) if name.lower() == "rel"]
        for relation in named[0].lower().split() if named and url.strip() else ():  # only the first "rel" counts
            found.setdefault(relation, url.strip())
    return found
