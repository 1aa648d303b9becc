"""Row filters of API keys: which routes hold to them, and whether a new one fits its table.

A route that shows rows and nothing else of them declares so (``filters_rows``); its rows, counts and statistics come
from query workers, which know only the rows that the key sees. Every other route of a pipeline, or of a run of one, is
closed to a key that has a filter on its table, since it may tell of all rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection

from service.api.services import Services
from service.kit import errors
from service.model.rights import Rights
from service.model.table import QUARANTINE

PIPELINE, RUN = "/api/v1/pipeline/{name", "/api/v1/runs/{run_id"
"""How the paths of all routes of a pipeline, and of a run, begin."""
_FIELD = "row_filter"


async def admit(connection: ASGIConnection[Any, Any, Any, Any], rights: Rights, services: Services) -> None:
    """Raises ``errors.Forbidden`` (ROW_FILTERED) for a route that tells of all rows of a table with a filter."""
    template, parameters = str(connection.scope.get("path_template")), connection.path_params
    if connection.route_handler.opt.get("filters_rows"):
        return
    if template.startswith(PIPELINE):
        table = services.ownership.table_of(str(parameters["name"]))
    elif template.startswith(RUN):
        table = await asyncio.to_thread(services.ownership.table_of_run, str(parameters["run_id"]))
    else:
        return
    if rights.is_filtered(table):
        raise errors.Forbidden(
            f"this tells of all rows of '{table}', and this key sees only some of them", code="ROW_FILTERED"
        )


async def check(row_filter: Mapping[str, str], rights: Rights, services: Services) -> None:
    """Whether each condition is one on the columns that its table has now.

    Raises ``errors.Invalid`` naming the table, ``errors.Unavailable``.
    """
    for table, condition in row_filter.items():
        field = f"{_FIELD}.{table}"
        if "@" in table or table.casefold().endswith(QUARANTINE):
            message = f"{field}: name the table alone; a filter holds for its versions, tags and quarantine"
            raise errors.Invalid(message, field=field)
        if not condition.strip():
            raise errors.Invalid(f"{field}: write a condition, or leave the table out", field=field)
        if not services.ownership.is_table(table, services.ownership.readable(rights)):
            raise errors.Invalid(f"{field}: no pipeline stores a table '{table}'", field=field)
        found = await asyncio.to_thread(services.history.table, table)
        if found is None:
            continue  # it has no rows yet; while a condition does not fit a version, it shows none
        try:
            await services.engine.data(await services.source_of(found.version), filter=condition, limit=0)
        except errors.Invalid as error:
            message = f"{field}: {error.message.removeprefix('filter: ')}"
            raise errors.Invalid(message, code=error.error_code, field=field) from None
