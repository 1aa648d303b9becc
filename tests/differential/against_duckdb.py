"""One random text, as a step of a pipeline and as DuckDB reads it."""

from __future__ import annotations

from random import Random
from typing import Any

import duckdb
import polars as pl

from service.kit import errors
from tests.differential import queries, tables
from tests.differential.comparison import Row, same_rows
from tests.differential.expressions import Expressions
from tests.differential.verdict import Verdict
from tests.unit.jobs.walking import made

# Small whole numbers count in 64 bits, and a time of day has microseconds, as in Parquet files that DuckDB writes.
AS_A_RUN_READS_IT = "SELECT * REPLACE (j::BIGINT AS j, u::BIGINT AS u, h::TIME AS h) FROM arrow"


def by_duckdb(frame: pl.DataFrame, query: str) -> list[Row] | str:
    """Its rows, or its message."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("arrow", frame.to_arrow())
        connection.execute(f"CREATE VIEW input AS {AS_A_RUN_READS_IT}")
        try:
            return connection.execute(query).fetchall()
        except duckdb.Error as error:
            return str(error).splitlines()[0]


def by_penstock(frame: pl.DataFrame, *steps: dict[str, Any], columns: list[str] | None = None) -> list[Row] | str:
    """The rows of a run, or "refused: …" by validation, or the message of the step that failed."""
    try:
        stored = made(frame, *steps).stored
    except errors.Invalid as error:
        return f"refused: {error.details}"
    except errors.StepError as error:
        return error.message
    return (stored.select(columns) if columns else stored).rows()


def compared(wanted: list[Row] | str, found: list[Row] | str, *, ordered: bool) -> str:
    """``same``, ``both refuse``, ``refused`` (by us alone) or what differs."""
    if isinstance(wanted, str):
        return "both refuse" if isinstance(found, str) else f"DuckDB fails ({wanted}), we answer {found[:3]}"
    if isinstance(found, str):
        refused = found.startswith("refused: ") or "is not supported here; " in found
        return "refused" if refused else f"we fail: {found}"
    if same_rows(wanted, found, ordered=ordered):
        return "same"
    pairs = [(w, f) for w, f in zip(wanted, found, strict=False) if not same_rows([w], [f], ordered=True)]
    return f"{len(wanted)} and {len(found)} rows; wanted and found: {pairs[:2]}"


def query(random: Random) -> Verdict:
    """A SELECT as a ``sql`` step."""
    frame, text = tables.table(random), queries.query(random)
    found = by_penstock(frame, {"type": "sql", "config": {"query": text}})
    ordered = " ORDER BY " in text.rpartition(")")[2] or (" ORDER BY k" in text and " OVER " not in text)
    return Verdict("sql", text, compared(by_duckdb(frame, text), found, ordered=ordered), frame)


def expression(random: Random) -> Verdict:
    """A scalar expression as ``derive`` or ``filter``, or an aggregate as ``aggregate``."""
    frame, draw = tables.table(random), Expressions(random)
    match random.choice(["derive", "derive", "filter", "clean", "aggregate"]):
        case "derive":
            text = draw.any(3)
            step = {"type": "transformer", "config": {"derive": {"y": text}}}
            query, columns = f"SELECT k, {text} AS y FROM input", ["k", "y"]
        case "filter" | "clean":
            text = draw.of("bool", 3)
            step = {"type": "cleaner", "config": {"filter": text}}
            query, columns = f"SELECT k FROM input WHERE {text}", ["k"]
        case _:
            text = draw.aggregate(2)
            step = {"type": "transformer", "config": {"aggregate": {"by": ["c"], "metrics": {"y": text}}}}
            query, columns = f"SELECT c, {text} AS y FROM input GROUP BY c", ["c", "y"]
    found = by_penstock(frame, step, columns=columns)
    outcome = compared(by_duckdb(frame, query), found, ordered="aggregate" not in str(step))
    return Verdict("expression", text, outcome, frame)
