"""Keys of rows: which columns identify a row of a version, and the values that paths and bodies give for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from service.api.services import TypedRequest
from service.kit import errors
from service.kit.errors import Problem
from service.model import query_parameters
from service.model.query_parameters import Kind
from service.model.version import Version
from service.runs import version_comparison
from service.values import polars_names

MOST_KEYS = 1_000
_KINDS: dict[str, Kind] = {
    "string": "string", "categorical": "string", "enum": "string", "float": "number", "decimal": "decimal",
    "boolean": "boolean", "date": "date", "time": "time", "datetime": "datetime", "int": "integer", "uint": "integer",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


class RowKey(NamedTuple):
    """The key of the rows of a version: its columns, the kinds of their values, and whether their times have a zone."""

    columns: list[str]
    kinds: list[Kind]
    zoned: list[bool]

    def parsed(self, values: Sequence[str], field: str) -> list[Problem]:
        """What is wrong with the values of one key, given as texts."""
        if len(values) != len(self.columns):
            named = f"the key has {len(self.columns)} columns ({', '.join(self.columns)})"
            return [Problem(field, f"{named}, and this has {len(values)} values")]
        found = []
        for column, kind, zoned, text in zip(self.columns, self.kinds, self.zoned, values, strict=True):
            try:
                ((_, value),) = query_parameters.converted({column: text}, {column: kind}).items()
                if kind == "datetime" and (value.tzinfo is not None) != zoned:
                    raise ValueError(f"expected a time {'with' if zoned else 'without'} an offset, got '{text[:60]}'")
            except ValueError as error:
                found.append(Problem(field, f"{column}: {error}"))
        return found


def of_version(version: Version, document: Mapping[str, Any]) -> RowKey:
    """The key of a version that a revision with this document made. Raises ``errors.Conflict`` (NO_KEY)."""
    known = {column.name.casefold(): column for column in version.columns}
    names = version_comparison.primary_key(document)
    if not names:
        raise errors.Conflict(
            f"'{version.pipeline}' has no key: name one in its storage (primary_key, or key), or filter its data",
            code="NO_KEY",
        )
    columns, kinds, zoned = [], list[Kind](), []
    for name in names:
        column = known.get(name.casefold())
        if column is None:
            raise errors.Conflict(f"version {version.version} has no column '{name}' of the key", code="NO_KEY")
        kind = polars_names.configured(column.type)
        word = _WORD.match(kind)
        if word is None or word[0] not in _KINDS:
            raise errors.Conflict(f"'{column.name}' is a {kind}, by which no row can be looked up", code="NO_KEY")
        columns.append(column.name)
        kinds.append(_KINDS[word[0]])
        zoned.append(kind.startswith("datetime["))
    return RowKey(columns, kinds, zoned)


def in_path(request: TypedRequest, key: RowKey, prefix: str) -> list[str]:
    """The values of the key at the end of the path: one for each column, separated by commas.

    A comma of a value is written ``%2C`` then; where one column is the key, commas are its own. Raises
    ``errors.Invalid``.
    """
    raw = bytes(request.scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
    text = raw.partition(prefix)[2]
    parts = text.split(",") if len(key.columns) > 1 else [text]
    values = [unquote(part, errors="replace") for part in parts]
    problems = key.parsed(values, "key")
    if problems:
        raise errors.Invalid.of(problems, "path")
    return values


def in_body(given: Sequence[Any], key: RowKey) -> list[list[str]]:
    """The values of keys in a body: each a value, or a list of values where the key has several columns.

    Raises ``errors.Invalid``.
    """
    found: list[list[str]] = []
    problems: list[Problem] = []
    for place, one in enumerate(given):
        field = f"keys[{place}]"
        parts = one if isinstance(one, list) else [one]
        if any(part is None or isinstance(part, list | dict) for part in parts):
            problems.append(Problem(field, "expected a value for each column of the key, which is never null"))
            continue
        values = [query_parameters.text_of(part) for part in parts]
        problems += key.parsed(values, field)
        found.append(values)
        if len(problems) >= 100:
            break
    if problems:
        raise errors.Invalid.of(problems, "body")
    return found
