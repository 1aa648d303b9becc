"""What does counting lost values add to a cast?

The casts of the orders job over their texts, one stage after another in one process, with and without the count, in
turns; the least CPU seconds count. About one value in a hundred is lost in each column. Digits beyond microseconds are
looked for, too, in datetimes that are written to the microsecond.
"""

from __future__ import annotations

import operator
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.options import Options
from service.engine.polars_frame import PolarsFrame
from service.values import cast
from service.values.losses import Conversion, plain_values

_TARGETS: dict[str, tuple[pl.DataType, tuple[str, ...]]] = {
    "price": (pl.Float64(), ()),
    "made": (pl.Datetime("us"), ("%Y-%m-%dT%H:%M:%S",)),
    "number": (pl.Int64(), ()),
    "moment": (pl.Datetime("us"), ()),
}


def _texts(path: Path, rows: int) -> Path:
    if not path.exists():
        row = pl.int_range(rows, eager=True).alias("row").to_frame().lazy()
        bad = pl.col("row") % 97 == 5
        moment = pl.datetime(2024, 1, 1) + pl.duration(seconds=pl.col("row") * 61)
        row.select(
            pl.when(~bad).then((pl.col("row") % 9973 / 100).cast(pl.String)).otherwise(pl.lit("1,2.3")).alias("price"),
            pl.when(~bad).then(moment.dt.strftime("%Y-%m-%dT%H:%M:%S")).otherwise(pl.lit("soon")).alias("made"),
            pl.when(~bad).then((pl.col("row") * 7).cast(pl.String)).otherwise(pl.lit("12.5")).alias("number"),
            pl.when(~bad).then(moment.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")).otherwise(pl.lit("now")).alias("moment"),
        ).sink_parquet(path, compression="lz4")
    return path


def _conversions() -> list[pl.Expr | Conversion]:
    return [
        Conversion(
            name=name, value=cast.cast(name, pl.String(), target, formats), source=pl.col(name), column=name,
            setting="cast", outcome="became null", cut=cast.cut(pl.col(name), pl.String(), target, formats),
        )
        for name, (target, formats) in _TARGETS.items()
    ]  # fmt: skip


def _cost(frame: PolarsFrame, folder: Path) -> float:
    began = time.process_time()
    frame.write(folder / "result.parquet", compression="lz4", compression_level=None, row_group_size=None)
    return time.process_time() - began


def ask(options: Options) -> dict[str, Any]:
    """CPU seconds with and without the count, and the share that it adds."""
    source = _texts(options.folder / f"texts-{options.rows}-{len(_TARGETS)}.parquet", options.rows)
    with tempfile.TemporaryDirectory(prefix="lost-", dir=options.folder) as name:
        folder = Path(name)
        costs: dict[str, list[float]] = {"plain": [], "counted": []}
        lost = 0
        for _ in range(max(5, options.repeat)):
            plain = PolarsFrame(pl.scan_parquet(source), folder)
            values = plain_values(_conversions())
            costs["plain"].append(_cost(plain.rows(operator.methodcaller("with_columns", values)), folder))
            counted = PolarsFrame(pl.scan_parquet(source), folder).convert("processors[0]", _conversions())
            costs["counted"].append(_cost(counted, folder))
            lost = sum(loss.count for loss in counted.losses)
    best = {name: min(seconds) for name, seconds in costs.items()}
    wanted = len(_TARGETS) * len(range(5, options.rows, 97))
    return {
        "rows": options.rows,
        "cpu": best,
        "share": best["counted"] / best["plain"] - 1,
        "contestants": {"counted": {"differs": [] if lost == wanted else [f"{lost} lost, not {wanted}"]}},
    }


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    cpu = answer["cpu"]
    return f"{cpu['plain']:.3f} CPU s without the count, {cpu['counted']:.3f} with it: {answer['share']:+.1%}"
