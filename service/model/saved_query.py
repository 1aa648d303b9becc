"""A saved query: a SELECT under a name, with typed parameters, that a GET request answers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec

from service.kit import errors
from service.kit.errors import Problem
from service.model import query_parameters
from service.model.answers import ColumnType
from service.model.query_parameters import Parameter

RESERVED = ("format", "limit", "offset", "cursor", "version", "escape_formulas")
"""What the query string says of the answer, so that no parameter may have such a name."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PARAMETER_NAME = "a parameter's name has lower-case letters, digits and _, at most 63, and no digit first"
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class QueryDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A saved query as its author writes it."""

    sql: Annotated[str, msgspec.Meta(description="One SELECT; `$name` is a parameter.", min_length=1)]
    description: Annotated[str, msgspec.Meta(description="What it answers.", max_length=4000)] = ""
    parameters: Annotated[
        dict[str, Parameter], msgspec.Meta(description="The parameters of its SQL, by name.", max_length=50)
    ] = {}
    max_rows: Annotated[int, msgspec.Meta(description="The rows of an answer at most.", ge=1, le=2**53)] | None = None
    cache_seconds: Annotated[
        int,
        msgspec.Meta(
            description="How old an answer may be: for so long it is given again although new versions came. 0: never.",
            ge=0,
            le=86_400,
        ),
    ] = 0
    public: Annotated[bool, msgspec.Meta(description="Whether it also answers requests without a token.")] = False


class SavedQuery(QueryDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A saved query. `columns` and `tables` are those that it had when it was saved.

    `repeatable`: the same versions give the same answer, which then has an `ETag`.
    """

    name: str
    columns: list[ColumnType]
    tables: list[str]
    repeatable: bool
    created: datetime
    created_by: str
    updated: datetime
    updated_by: str


def check(name: str, definition: QueryDefinition) -> None:
    """Raises ``errors.Invalid`` with every problem of a definition."""
    found: list[Problem] = []
    if _NAME.fullmatch(name) is None:
        found.append(Problem("name", "lower-case letters, digits, - and _, a letter first, at most 63 characters"))
    for parameter, about in definition.parameters.items():
        if _PARAMETER.fullmatch(parameter) is None:
            found.append(Problem(f"parameters.{parameter[:80]}", _PARAMETER_NAME))
            continue
        if parameter in RESERVED:
            found.append(Problem(f"parameters.{parameter}", f"no parameter may be called {', '.join(RESERVED)}"))
        if re.search(rf"\${parameter}\b", definition.sql, re.IGNORECASE) is None:
            found.append(Problem(f"parameters.{parameter[:80]}", f"the SQL has no ${parameter[:80]}"))
        found += query_parameters.problems(parameter, about)
    if found:
        raise errors.Invalid.of(found, "saved query")
