"""What does counting lost values add to a cast?

The casts of the orders job over their texts, one stage after another in one process, with and without the count, in
turns; the least CPU seconds count. About one value in a hundred is lost in each column. Digits beyond microseconds are
looked for, too, in datetimes that are written to the microsecond. Decimals, where one value in a hundred has too many
digits, and where none has, are measured apart: beside the others a check of twice their cast would not be seen.
"""

from __future__ import annotations

import operator
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from benchmarks.options import Options
from service.engine.polars_frame import PolarsFrame
from service.values import cast
from service.values.losses import Conversion, plain_values

Targets: TypeAlias = dict[str, tuple[pl.DataType, tuple[str, ...]]]

_TARGETS: Targets = {
    "price": (pl.Float64(), ()),
    "made": (pl.Datetime("us"), ("%Y-%m-%dT%H:%M:%S",)),
    "number": (pl.Int64(), ()),
    "moment": (pl.Datetime("us"), ()),
}
_CLEAN: Targets = {"clean": (pl.Decimal(18, 2), ())}
_DECIMAL: Targets = {"amount": (pl.Decimal(18, 2), ())}


def _texts(path: Path, rows: int) -> Path:
    if not path.exists():
        row = pl.int_range(rows, eager=True).alias("row").to_frame().lazy()
        bad = pl.col("row") % 97 == 5
        clean = pl.format("{}.{}", pl.col("row") % 9973, pl.col("row") % 90 + 10)
        moment = pl.datetime(2024, 1, 1) + pl.duration(seconds=pl.col("row") * 61)
        row.select(
            pl.when(~bad).then((pl.col("row") % 9973 / 100).cast(pl.String)).otherwise(pl.lit("1,2.3")).alias("price"),
            pl.when(~bad).then(moment.dt.strftime("%Y-%m-%dT%H:%M:%S")).otherwise(pl.lit("soon")).alias("made"),
            pl.when(~bad).then((pl.col("row") * 7).cast(pl.String)).otherwise(pl.lit("12.5")).alias("number"),
            pl.when(~bad).then(moment.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")).otherwise(pl.lit("now")).alias("moment"),
            clean.alias("clean"),
            pl.when(bad).then(clean + "5").otherwise(clean).alias("amount"),
        ).sink_parquet(path, compression="lz4")
    return path


def _conversions(targets: Targets) -> list[pl.Expr | Conversion]:
    return [
        Conversion(
            name=name, value=cast.cast(name, pl.String(), target, formats), source=pl.col(name), column=name,
            setting="cast", outcome="became null", cut=cast.cut(pl.col(name), pl.String(), target, formats),
        )
        for name, (target, formats) in targets.items()
    ]  # fmt: skip


def _cost(frame: PolarsFrame, folder: Path) -> float:
    began = time.process_time()
    frame.write(folder / "result.parquet", compression="lz4", compression_level=None, row_group_size=None)
    return time.process_time() - began


def _compared(source: Path, targets: Targets, folder: Path, turns: int) -> tuple[dict[str, float], int]:
    """The least CPU seconds with and without the count, and how many values were counted."""
    costs: dict[str, list[float]] = {"plain": [], "counted": []}
    texts, lost = pl.scan_parquet(source).select(targets.keys()), 0
    for _ in range(turns):
        plain = PolarsFrame(texts, folder)
        values = plain_values(_conversions(targets))
        costs["plain"].append(_cost(plain.rows(operator.methodcaller("with_columns", values)), folder))
        counted = PolarsFrame(texts, folder).convert("processors[0]", _conversions(targets))
        costs["counted"].append(_cost(counted, folder))
        lost = sum(loss.count for loss in counted.losses)
    return {name: min(seconds) for name, seconds in costs.items()}, lost


def ask(options: Options) -> dict[str, Any]:
    """CPU seconds with and without the count, and the share that it adds."""
    source = _texts(options.folder / f"texts-{options.rows}-{len(_TARGETS)}-decimals.parquet", options.rows)
    turns, bad = max(5, options.repeat), len(range(5, options.rows, 97))
    with tempfile.TemporaryDirectory(prefix="lost-", dir=options.folder) as name:
        best, lost = _compared(source, _TARGETS, Path(name), turns)
        clean, none = _compared(source, _CLEAN, Path(name), turns)
        decimals, rounded = _compared(source, _DECIMAL, Path(name), turns)
    differs = [] if lost == len(_TARGETS) * bad else [f"{lost} lost, not {len(_TARGETS) * bad}"]
    differs += [] if (none, rounded) == (0, bad) else [f"{none} and {rounded} decimals rounded, not 0 and {bad}"]
    return {
        "rows": options.rows,
        "cpu": best,
        "share": best["counted"] / best["plain"] - 1,
        "clean_decimals": {"cpu": clean, "share": clean["counted"] / clean["plain"] - 1},
        "decimals": {"cpu": decimals, "share": decimals["counted"] / decimals["plain"] - 1},
        "contestants": {"counted": {"differs": differs}},
    }


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    clean, decimals = _line(answer["clean_decimals"]), _line(answer["decimals"])
    return f"{_line(answer)}; decimals: {decimals}; decimals that lose nothing: {clean}"


def _line(measured: dict[str, Any]) -> str:
    cpu = measured["cpu"]
    return f"{cpu['plain']:.3f} CPU s without the count, {cpu['counted']:.3f} with it: {measured['share']:+.1%}"
