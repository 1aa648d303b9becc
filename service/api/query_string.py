"""Query strings as structs: their fields are the parameters that OpenAPI shows; other parameters are refused."""

from __future__ import annotations

import functools
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from service.api.services import TypedRequest
from service.kit import errors
from service.kit.errors import Problem
from service.model.formats import FORMATS

T = TypeVar("T", bound=msgspec.Struct)
_MOST_OFFSET = 2**53


def about(text: str, **bounds: Any) -> msgspec.Meta:
    """A parameter's description and bounds."""
    return msgspec.Meta(description=text, **bounds)


Offset = Annotated[int, about("How many to skip.", ge=0, le=_MOST_OFFSET)]
Revision = Annotated[int, about("A revision of the configuration; the newest by default.", ge=1, le=2**31 - 1)]
VersionChoice = Annotated[
    str, about("A version, by its number or a tag; the newest by default.", examples=["3", "stable"])
]
Format = Annotated[
    str,
    about(
        "json, ndjson, csv, arrow or parquet; wins over Accept.",
        max_length=40,
        extra_json_schema={"enum": list(FORMATS)},
    ),
]

EscapeFormulas = Annotated[
    bool,
    about(
        "CSV: put `'` before texts that a spreadsheet would run as formulas (those that begin with `=`, `+`, `-`, `@`, "
        "tab or line end). `false` writes them as they are."
    ),
]


class NoParameters(msgspec.Struct, frozen=True):
    """No parameters."""


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list."""

    limit: Annotated[int, about("How many at most.", ge=1, le=1000)] = 50
    offset: Offset = 0


class ByVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which version."""

    version: VersionChoice | None = None


def one_version(query: int | str | None, body: int | str | None) -> int | str | None:
    """The version that the query string or the body names. Raises ``errors.Invalid`` if they differ."""
    if query is not None and body is not None and query != body:
        raise errors.Invalid(f"version: {query} in the query string, {body} in the body", field="version")
    return body if query is None else query


def read(request: TypedRequest, kind: type[T]) -> T:
    """The query string as ``kind``. Raises ``errors.Invalid`` with all problems, ``field`` naming the parameter."""
    return _as(kind, _pairs(request.scope["query_string"]))


def read_some(request: TypedRequest, kind: type[T]) -> tuple[T, dict[str, str]]:
    """The parameters of ``kind``, and all others as texts. Raises as ``read``."""
    fields = _fields(kind)
    pairs = _pairs(request.scope["query_string"])
    others = [(name, text) for name, text in pairs if name not in fields]
    names = [name for name, _ in others]
    if repeated := [Problem(name, "is given twice") for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise errors.Invalid.of(repeated, "query string")
    return _as(kind, [pair for pair in pairs if pair[0] in fields]), dict(others)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The parameters by name. Reading them from the type takes longer than most query strings."""
    return {f.encode_name: f for f in msgspec.structs.fields(kind)}


def _as(kind: type[T], pairs: list[tuple[str, str]]) -> T:
    fields = _fields(kind)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, text in pairs:
        field = fields.get(name)
        if field is None:
            known = f" (known: {', '.join(fields)})" if fields else ""
            problems.append(Problem(name, f"unknown parameter{errors.did_you_mean(name, fields)}{known}"))
        elif name in values:
            problems.append(Problem(name, "is given twice"))
        else:
            try:
                values[name] = msgspec.convert(text, field.type, strict=False)
                if values[name] is None:
                    problems.append(Problem(name, f"'{text}' is not a value; leave the parameter out"))
            except msgspec.ValidationError as error:
                values[name] = None
                message = str(error).replace(" | null", "").replace(", got `str`", f", got '{text[:60]}'")
                problems.append(Problem(name, message))
    if problems:
        raise errors.Invalid.of(problems, "query string")
    return kind(**values)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise errors.Invalid(f"the query string cannot be read: {error}", field="query") from None


def page_of(items: list[Any], total: int, page: Any) -> dict[str, Any]:
    """The answer of every list route: a page of ``total`` items."""
    return {"items": items, "total": total, "limit": page.limit, "offset": page.offset}
