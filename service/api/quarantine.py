"""Quarantine: the rows that a version refused, why, and their second chance."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from service.api import examples, queries, relay
from service.api.describing import Answer, route
from service.api.names import stored
from service.api.queries import Format, Number, Offset, about
from service.api.results import MEDIA
from service.api.services import Asked, Given


class QuarantineQuery(queries.Nothing, frozen=True, kw_only=True):
    """Which rows, in which form."""

    version: Number | None = None
    limit: Annotated[int, about("Rows at most; JSON: 1000 by default, 100000 at most.", ge=0, le=2**53)] | None = None
    offset: Offset = 0
    format: Format | None = None


@get(
    "/pipeline/{name:str}/quarantine",
    **route(
        "viewer",
        "Results",
        "Read rows in quarantine",
        "The rows that the newest version, or `version`, refused: those that broke rules of a validator with `on_fail: "
        "quarantine`, and malformed ones of a CSV collector with `on_malformed: quarantine`. `_rules` says why: rule, "
        "column, value and what is wrong with it. Where the row came from is in `_step`, `_source`, `_file`, `_line` "
        "(in the file, from 1), `_row` (in the data that came to the step, from 1) and `_text` (a malformed row as it "
        "was written). The row's own columns follow as they stood then; one that has such a name has one more "
        "underscore, and one that is of different types at different steps is text. `rules` counts the rows of each "
        "rule. A version without quarantined rows answers an empty list. SQL sees the same rows as the table "
        '`<table>__quarantine`, and `"<table>__quarantine@3"` for version 3.',
        Answer(text="The rows.", kind=dict[str, Any], example=examples.QUARANTINE, media=MEDIA),
        errors=(
            "PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE",
            "OVERLOADED",
        ),
        query=QuarantineQuery,
    ),
)  # fmt: skip
async def read_quarantine(request: Asked, services: Given, name: FromPath[str]) -> Response[Any]:
    asked = queries.read(request, QuarantineQuery)
    form = relay.format_of(request, asked.format)
    version = await stored(services, name, asked.version)
    answer = await services.engine.data(
        services.quarantine_of(version),
        limit=asked.limit,
        offset=asked.offset,
        format=form,
        about={"rules": msgspec.to_builtins(version.refusals)},
    )
    return relay.relayed(answer, f"{name}-v{version.version}-quarantine", form, {"vary": "Accept"})


HANDLERS = [read_quarantine]
