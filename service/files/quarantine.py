"""The quarantine: rows that a step rejected, in the one layout that people, SQL and a replay read.

Each step that rejects rows writes a Parquet file beside the version (``file_of``). A row has the columns of
``LAYOUT`` first, then its data columns as they were when the step rejected it:

=========  ============================================================================================
_rules     the reasons: a list of {rule, column, value, message}, one for each rule that the row broke
_step      the step that rejected it, such as ``processors[1]``
_source    the collector that it came from, if known (one collector, several concatenated collectors whose rows are
           all still there, or a malformed row)
_file      the file that it came from (malformed rows)
_line      its line in that file, from 1 (malformed rows)
_row       its row number in the input of the step, from 1 (not for malformed rows)
_text      its text (malformed rows, which have no data columns)
=========  ============================================================================================

A data column with one of these names gets one more underscore in quarantine, and loses it in a replay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


LAYOUT = {
    "_rules": "List(Struct({'rule': String, 'column': String, 'value': String, 'message': String}))",
    "_step": "String",
    "_source": "String",
    "_file": "String",
    "_line": "Int64",
    "_row": "Int64",
    "_text": "String",
}
"""The leading columns and their Polars types as text; ``layout`` has the types."""
MALFORMED = "malformed"
"""The rule that malformed rows break: text that could not be parsed as a row."""
_RESERVED = re.compile(r"_+(rules|step|source|file|line|row|text)", re.IGNORECASE)
_SHOWN_TEXT = 200


def layout() -> pl.Schema:
    """The leading columns and their types."""
    reason = pl.Struct({"rule": pl.String, "column": pl.String, "value": pl.String, "message": pl.String})
    types = {"List": pl.List(reason), "String": pl.String(), "Int64": pl.Int64()}
    return pl.Schema({name: types[text.partition("(")[0]] for name, text in LAYOUT.items()})


def file_of(step: str, part: int = 0) -> str:
    """The name of the file (number ``part``, from 0) that stores the rows that ``step`` rejected."""
    plain = "".join(c if c.isalnum() else "-" for c in step).strip("-")
    return f"quarantine-{plain}{f'-{part + 1}' if part else ''}.parquet"


def stored_name(name: str) -> str:
    """The name in quarantine of a data column."""
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def data_name(name: str) -> str:
    """The name in the data of a quarantine column that is not in ``LAYOUT``."""
    return name[1:] if _RESERVED.fullmatch(name) else name


def reason(rule: str, column: str | None, value: pl.Expr, message: str | pl.Expr) -> pl.Expr:
    """One entry of ``_rules``; ``value`` is text (``shown``)."""
    return pl.struct(
        pl.lit(rule).alias("rule"),
        pl.lit(column, dtype=pl.String).alias("column"),
        value.cast(pl.String).alias("value"),
        (pl.lit(message) if isinstance(message, str) else message).alias("message"),
    )


def shown(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column's values as text for a person, cut after a few words; null stays null."""
    value = pl.col(column)
    if dtype.is_nested():
        text = pl.struct(value.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")
        text = pl.when(value.is_not_null()).then(text)
    elif isinstance(dtype, pl.Binary):
        text = value.bin.encode("base64")
    elif isinstance(dtype, pl.Duration):
        text = value.dt.to_string("iso")
    else:
        text = value.cast(pl.String)
    return text.str.slice(0, _SHOWN_TEXT).alias(column)


def arrange(lf: pl.LazyFrame, own: list[str], values: dict[str, pl.Expr]) -> pl.LazyFrame:
    """``lf`` in the layout: the columns of ``LAYOUT`` from ``values`` (others null), then the data columns ``own``."""
    nothing = pl.lit(None)
    leading = [values.get(name, nothing).cast(dtype).alias(name) for name, dtype in layout().items()]
    return lf.select(*leading, *(pl.col(name).alias(stored_name(name)) for name in own))


def data_columns(names: list[str]) -> dict[str, str]:
    """The data columns among ``names`` of a quarantine file: name in quarantine to name in the data."""
    return {name: data_name(name) for name in names if name not in LAYOUT}


def count_reasons(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """How often each rule was broken in quarantine files: ``step``, ``rule``, ``column`` and ``rows``."""
    if not paths:
        return []
    reasons = pl.concat([pl.scan_parquet(p, glob=False).select("_step", "_rules") for p in paths]).explode("_rules")
    by = {"step": pl.col("_step"), "rule": _part("rule"), "column": _part("column")}
    counts = reasons.select(**by).group_by(list(by)).agg(pl.len().alias("rows"))
    return counts.collect(engine="streaming").sort(list(by)).to_dicts()


def _part(name: str) -> pl.Expr:
    return pl.col("_rules").struct.field(name)


def unite_schemas(schemas: Sequence[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    """The columns of several quarantine files as one table: where their types differ, text."""
    found: dict[str, pl.DataType] = {}
    for schema in schemas:
        for name, dtype in schema.items():
            found[name] = dtype if found.get(name, dtype) == dtype else pl.String()
    return found
