"""Links of an answer: the ``Link`` header (RFC 8288) as addresses by their relation."""

from __future__ import annotations

import re

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LINK = re.compile(rf"<([^<>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:{_QUOTED}|[^\s;,]*))?)*)")
_PARAM = re.compile(rf";\s*([^\s=;,]+)(?:\s*=\s*({_QUOTED}|[^\s;,]*))?")


def relations(header: str) -> dict[str, str]:
    """The first address of each relation, whose names are in lower case. What is no link is passed over."""
    found: dict[str, str] = {}
    for url, params in _LINK.findall(header):
        named = [value.strip("\"'") for name, value in _PARAM.findall(params) if name.lower() == "rel"]
        for relation in named[0].lower().split() if named and url.strip() else ():  # only the first "rel" counts
            found.setdefault(relation, url.strip())
    return found
