"""Masking of secrets in configurations: literal passwords and tokens are masked, ``${NAME}`` stays as written.

Secrets may be anywhere in collectors, storages and hooks. In processors only direct settings can be secrets: below them
are names of columns, and a column may be called ``token``. In headers, parameters, logins, bodies and URL queries,
``key`` is a secret too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from service.kit import decoding, placeholders
from service.kit.errors import Problem

_SECRET = re.compile(r"(?i)password|passwd|secret|token|api[-_]?key|authorization|credential|private[-_]?key|cookie")
_ON_THE_WIRE = re.compile(rf"(?i){_SECRET.pattern[4:]}|(^|[-_])(key|auth|sig|signature|pass|pwd)$")
_WIRE = frozenset({"headers", "params", "auth", "body"})
_OF_COLUMNS = frozenset({"schema", "css_selectors", "for_each"})
_NOT_SECRET = re.compile(r"(?i)^(token_url|in|name|header|type)$")
_QUERY = re.compile(r"(?<=[?&])(?P<name>[^=&#\s]+)=(?P<value>[^&#\s]*)")

Note = Callable[[str], None]


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, or the part of one, with ``***`` for every literal secret."""
    return _document(document, lambda _: None)


def problems(document: Any) -> list[Problem]:
    """Settings where a secret is the mask itself: a configuration that was shown was sent back."""
    found: list[str] = []
    if isinstance(document, Mapping):
        _document(document, found.append)
    hint = "'***' is the mask of a secret; write the secret itself, or ${NAME} for PENSTOCK_SECRET_NAME"
    return [Problem(place, hint) for place in found]


def settings(value: Any) -> Any:
    """The settings of one collector or storage, or a part of them, with secrets masked."""
    return _deep(value, "", _SECRET, lambda _: None)


def _document(document: Mapping[str, Any], note: Note) -> dict[str, Any]:
    shown = dict(document)
    for part in ("collectors", "processors", "storage", "notify"):
        items = shown.get(part)
        if isinstance(items, list):
            way = _step if part == "processors" else _plugin
            shown[part] = [way(item, f"{part}[{place}]", note) for place, item in enumerate(items)]
    return shown


def _plugin(item: Any, path: str, note: Note) -> Any:
    return _deep(item, path, _SECRET, note)


def _step(item: Any, path: str, note: Note) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("config"), Mapping):
        return item
    config = {
        name: value
        if isinstance(value, Mapping | list)
        else _value(value, f"{path}.config.{name}", note, secret=_is_secret(str(name), _SECRET))
        for name, value in item["config"].items()
    }
    return {**item, "config": config}


def _is_secret(name: str, pattern: re.Pattern[str], *, within: bool = False) -> bool:
    return (within or pattern.search(name) is not None) and not _NOT_SECRET.match(name)


def _deep(value: Any, path: str, pattern: re.Pattern[str], note: Note, *, secret: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {
            name: inner
            if name in _OF_COLUMNS
            else _deep(
                inner,
                decoding.join(path, str(name)),
                _ON_THE_WIRE if name in _WIRE else pattern,
                note,
                secret=_is_secret(str(name), pattern, within=secret),
            )
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_deep(inner, f"{path}[{place}]", pattern, note, secret=secret) for place, inner in enumerate(value)]
    return _value(value, path, note, secret=secret)


def _value(value: Any, path: str, note: Note, *, secret: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if secret:
        if value == placeholders.MASK:
            note(path)
        return value if isinstance(value, str) and placeholders.names(value) else placeholders.MASK
    return _url(value, path, note) if isinstance(value, str) and "?" in value else value


def _url(text: str, path: str, note: Note) -> str:
    def parameter(found: re.Match[str]) -> str:
        if not _ON_THE_WIRE.search(found["name"]) or placeholders.names(found["value"]):
            return found[0]
        if found["value"] == placeholders.MASK:
            note(path)
        return f"{found['name']}={placeholders.MASK}"

    return _QUERY.sub(parameter, text)
