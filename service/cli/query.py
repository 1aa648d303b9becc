"""``penstock query``: over a data directory, or by a running service."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec

from service.api import audit_actions
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.client.connection import Connection
from service.kit import errors
from service.model.answers import QueryResult
from service.model.formats import FORMATS
from service.runs.core import Core


def query(
    sql: str, *, data_dir: str | None, url: str | None, form: str, limit: int | None, escape_formulas: bool
) -> None:
    """Write the answer to standard output. Raises what the engine or the service raises."""
    if form in FORMATS and FORMATS[form].binary and sys.stdout.isatty():
        raise errors.Invalid(f"{form} is binary; send it to a file (> answer.{form}) or a pipe")
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            _query_service(connection, sql, form, limit, escape_formulas)
            return

    async def work(core: Core) -> None:
        if form == "table":
            show(await ask(core, sql, limit))
            return
        answer = await core.engine.sql(sql, limit=limit, format=form, escape_formulas=escape_formulas)
        async for part in answer.body:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()

    session.with_core(session.existing(data_dir=data_dir), work, Deed(audit_actions.QUERY, query=sql))


def _query_service(connection: Connection, sql: str, form: str, limit: int | None, escape_formulas: bool) -> None:
    parameters = {"format": "json" if form == "table" else form, "escape_formulas": str(escape_formulas).lower()}
    body = {"sql": sql, **({"limit": limit} if limit is not None else {})}
    parts = connection.stream("POST", "query", query=parameters, body=body)
    if form == "table":
        show(_decode(parts))
        return
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


async def ask(core: Core, sql: str, limit: int | None = None) -> QueryResult:
    """The JSON answer to a statement."""
    answer = await core.engine.sql(sql, limit=limit)
    return _decode([part async for part in answer.body])


def _decode(parts: Iterable[bytes]) -> QueryResult:
    return msgspec.json.decode(b"".join(parts), type=QueryResult)


def show(answer: QueryResult) -> None:
    """Print an answer as a table, with the number of rows and the time."""
    output.show([column.name for column in answer.columns], answer.data)
    more = ", and there are more" if answer.truncated else ""
    output.OUT.print(f"[dim]{output.count_of(answer.row_count, 'row')}{more}, {answer.elapsed_ms:.0f} ms[/dim]")
