"""``penstock query``."""

from __future__ import annotations

import sys

import msgspec

from service.bootstrap import Core
from service.cli import output, session
from service.kit import errors
from service.model.answers import QueryResult
from service.model.formats import FORMATS


def query(sql: str, *, data_dir: str | None, form: str, limit: int | None) -> None:
    """Write the answer to standard output. Raises what ``Engine.sql`` raises."""
    if form in FORMATS and FORMATS[form].binary and sys.stdout.isatty():
        raise errors.Invalid(f"{form} is binary; send it to a file (> answer.{form}) or a pipe")

    async def work(core: Core) -> None:
        if form == "table":
            show(await ask(core, sql, limit))
            return
        answer = await core.engine.sql(sql, limit=limit, format=form, escape_formulas=False)
        async for part in answer.body:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()

    session.with_core(session.settings(data_dir=data_dir), work)


async def ask(core: Core, sql: str, limit: int | None = None) -> QueryResult:
    """The JSON answer to a statement."""
    answer = await core.engine.sql(sql, limit=limit)
    return msgspec.json.decode(b"".join([part async for part in answer.body]), type=QueryResult)


def show(answer: QueryResult) -> None:
    """Print an answer as a table, with the number of rows and the time."""
    output.show([column.name for column in answer.columns], answer.data)
    more = ", and there are more" if answer.truncated else ""
    output.OUT.print(f"[dim]{output.count_of(answer.row_count, 'row')}{more}, {answer.elapsed_ms:.0f} ms[/dim]")
