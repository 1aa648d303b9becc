"""Newer rows: under ``merge``, quarantined rows take the places of rows that were stored before their run, only.

A row that the same run stored may have come after the quarantined one, and nobody knows the order. A stored row is
older than the run if it equals that of the version before it. Where there is no such version, no stored row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.files import quarantine
from service.jobs import messages
from service.steps.frame import Frame
from service.steps.report import Rejected

STEP = "storage[0]"
"""The step that these rows are listed with; such rows have passed all processors."""
RULE = "newer_row"
_BEFORE, _THERE = "\0before ", "\0there"  # no stored column has a NUL in its name


def without_newer(
    frame: Frame, order: messages.Replay, key: Sequence[str], target: Path
) -> tuple[Frame, Rejected | None]:
    """The rows of ``frame`` that may be stored, and the others, in the quarantine file ``target``.

    The frame has the types of the newest version.
    """
    if not set(key) <= set(frame.schema):
        return frame, None  # the storage says what is wrong
    assert isinstance(frame, PolarsFrame)
    passed = frame.lazy.collect(engine="streaming")  # they are few
    newer = _newer_keys(passed.select(key).unique(), order, key)
    refused = passed.join(newer, on=list(key), how="semi", maintain_order="left")
    if not refused.height:
        return frame, None
    shown = [quarantine.shown(name, frame.schema[name]) for name in key]
    value = pl.concat_str(shown, separator=", ")
    column = key[0] if len(key) == 1 else None
    message = "the run of this row, or a later one, stored another row with this key"
    values = {"_rules": pl.concat_list(quarantine.reason(RULE, column, value, message)), "_step": pl.lit(STEP)}
    quarantine.arrange(refused.lazy(), list(refused.columns), values).sink_parquet(target, engine="streaming")
    kept = frame.rows(lambda lf: lf.join(newer.lazy(), on=list(key), how="anti", maintain_order="left"))
    return kept, Rejected(refused.height, target.name, STEP)


def _newer_keys(keys: pl.DataFrame, order: messages.Replay, key: Sequence[str]) -> pl.DataFrame:
    """Those of ``keys`` whose stored row is newer than the quarantine."""
    stored = _with_keys(order.base, keys, pl.read_parquet_schema(order.base.parts[0]))
    if order.origin is None:
        return stored.select(key)
    before_types = pl.read_parquet_schema(order.origin.parts[0])
    if not all(_comparable(before_types.get(name), dtype) for name, dtype in keys.schema.items()):
        return stored.select(key)
    before = _with_keys(order.origin, keys, stored.schema).rename(
        {name: f"{_BEFORE}{name}" for name in stored.columns if name not in key}
    )
    both = stored.join(before.with_columns(pl.lit(True).alias(_THERE)), on=list(key), how="left")
    same = [pl.col(name).eq_missing(pl.col(f"{_BEFORE}{name}")) for name in stored.columns if name not in key]
    equal = both.filter(pl.all_horizontal(pl.col(_THERE).is_not_null(), *same)).select(key)
    return stored.select(key).join(equal, on=list(key), how="anti")


def _with_keys(version: messages.StoredParts, keys: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The rows of a version that have one of ``keys``, in the columns of ``schema``; others are null."""
    lf = pl.scan_parquet([Path(part) for part in version.parts], glob=False)
    types = lf.collect_schema()
    columns = [
        (pl.col(name).cast(dtype, strict=False) if _comparable(types.get(name), dtype) else pl.lit(None, dtype)).alias(
            name
        )
        for name, dtype in schema.items()
    ]
    return lf.select(columns).join(keys.lazy(), on=keys.columns, how="semi").collect(engine="streaming")


def _comparable(one: pl.DataType | None, other: pl.DataType) -> bool:
    """Whether the values of a type may be compared in another one, which may be wider."""
    if one is None or one == other:
        return one is not None
    return (one.is_numeric() and other.is_numeric()) or (one.is_temporal() and other.is_temporal())
