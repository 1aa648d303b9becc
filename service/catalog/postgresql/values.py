"""Texts as PostgreSQL can hold them, which takes no NUL, and as they were.

A NUL becomes a mark and a 0, the mark itself (U+E000, for private use) the mark and a 1, so that nothing is lost or
mistaken for something else. In JSON it is the escape of NUL that gives way, since PostgreSQL could read nothing of
such a document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader

_MARK = "\ue000"
_MARKED = _MARK.encode()
_NUL, _ITSELF = _MARK + "0", _MARK + "1"
_ESCAPE = re.compile(r"\\(?:u0000|.)", re.DOTALL)


def stored(value: Any, *, json: bool = False) -> Any:
    """A parameter as it is sent; other values than texts and lists of them are sent as they are."""
    if isinstance(value, str):
        return _stored_json(value) if json else _stored(value)
    if isinstance(value, list | tuple):
        return [stored(one) for one in value]
    return value


def parameters(values: Mapping[str, Any], json: frozenset[str]) -> dict[str, Any]:
    """Parameters as they are sent; those named in ``json`` are JSON documents."""
    return {name: stored(value, json=name in json) for name, value in values.items()}


def _stored(text: str) -> str:
    if _MARK not in text and "\0" not in text:
        return text
    return text.replace(_MARK, _ITSELF).replace("\0", _NUL)


def _stored_json(text: str) -> str:
    if _MARK in text:
        text = text.replace(_MARK, _ITSELF)
    if "\\u0000" not in text:
        return text
    return _ESCAPE.sub(lambda found: _NUL if found[0] == "\\u0000" else found[0], text)


class _Text(Loader):
    """Loads a text as it was."""

    nul = "\0"

    def load(self, data: Buffer) -> str:
        found = bytes(data)
        text = found.decode()
        return text.replace(_NUL, self.nul).replace(_ITSELF, _MARK) if _MARKED in found else text


class _Json(_Text):
    """Loads a JSON document as the text that it was."""

    nul = "\\u0000"


def register(context: AdaptContext) -> None:
    """Let a connection load texts as they were, and JSON as texts."""
    for name in ("text", "varchar", "bpchar", "name"):
        context.adapters.register_loader(name, _Text)
    context.adapters.register_loader("json", _Json)
