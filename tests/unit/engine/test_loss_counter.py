"""Losses are counted once, over all rows, in whatever way a plan is executed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.values.losses import Conversion

ROWS = Metric("", "rows")
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def conversion(column: str = "v", **more: Any) -> Conversion:
    value = pl.col(column).cast(pl.Int64, strict=False)
    return Conversion(column, value, pl.col(column), column, "cast", "cannot be cast", **more)


def frame(folder: Path, values: Sequence[str | None], *, expensive: bool = True, **more: Any) -> Frame:
    data = pl.DataFrame({"v": pl.Series(values, dtype=pl.String), "n": range(len(values))})
    return PolarsFrame(data.lazy(), folder, expensive=expensive).convert("processors[0]", [conversion(**more)])


def write(frame: Frame, folder: Path) -> int:
    return frame.write(folder / "out.parquet", compression="zstd", compression_level=1, row_group_size=None)


@few
@given(st.lists(st.one_of(st.none(), st.sampled_from(["1", "2", "x", "y"])), max_size=30), st.booleans())
def test_what_is_counted_is_what_is_lost(tmp_path: Path, values: list[str | None], expensive: bool) -> None:
    made = frame(tmp_path, values, expensive=expensive)
    assert made.losses == []
    assert write(made, tmp_path) == len(values)
    bad = [(i + 1, v) for i, v in enumerate(values) if v in ("x", "y")]
    found = [(loss.count, loss.known, loss.rows, loss.samples) for loss in made.losses]
    known = sum(v is not None for v in values)
    wanted = (len(bad), known, [row for row, _ in bad[:3]], [text for _, text in bad[:3]])
    assert found == ([wanted] if bad else [])


@pytest.mark.parametrize("way", ["filtered", "distinct", "last", "sorted", "measured", "selected", "sliced", "twice"])
@pytest.mark.parametrize("expensive", [True, False])
def test_the_way_to_the_rows_does_not_matter(tmp_path: Path, way: str, expensive: bool) -> None:
    made = frame(tmp_path, ["1", "x", None, "1", "y", "z"] * 50, expensive=expensive)
    match way:
        case "filtered":
            made = made.rows(lambda lf: lf.filter(pl.col("n") < 10))
        case "distinct":
            made = made.distinct(["v"])
        case "last":
            made = made.distinct(["v"], keep="last")
        case "sorted":
            made = made.sort(["n"], descending=[True])
        case "measured":
            made.measure([ROWS, Metric("v", "mean"), Metric("n", "quantile", (0.5,))])
        case "selected":
            made = made.rows(lambda lf: lf.select("v"))
        case "sliced":
            made = made.rows(lambda lf: lf.head(2))
        case _:
            write(made, tmp_path)
            made.measure([ROWS])
    write(made, tmp_path)
    assert [(loss.count, loss.known) for loss in made.losses] == [(150, 250)]


def test_rows_of_large_tables_are_counted_in_order(tmp_path: Path) -> None:
    values = ["7" if i % 1000 else f"bad {i}" for i in range(300_000)]
    made = frame(tmp_path, values)
    write(made, tmp_path)
    (loss,) = made.losses
    assert (loss.count, loss.rows, loss.samples) == (300, [1, 1001, 2001], ["bad 0", "bad 1000", "bad 2000"])


def test_a_flag_counts_other_losses(tmp_path: Path) -> None:
    data = PolarsFrame(pl.LazyFrame({"v": [1, 5, 9, None]}), tmp_path)
    clipped = Conversion("v", pl.col("v").clip(2, 8), pl.col("v"), "v", "outliers", "were moved", lost=pl.col("v") > 8)
    made = data.convert("processors[0]", [clipped, pl.lit(1).alias("k")])
    write(made, tmp_path)
    assert pl.read_parquet(tmp_path / "out.parquet").to_dict(as_series=False) == {
        "v": [2, 5, 8, None], "k": [1, 1, 1, 1],
    }  # fmt: skip
    (loss,) = made.losses
    assert (loss.setting, loss.count, loss.known, loss.samples) == ("outliers", 1, 3, ["9"])


@pytest.mark.parametrize(("most", "fails"), [(None, False), (0.5, False), (0.49, True), (0.0, True), (1.0, False)])
def test_a_share_may_be_bounded(tmp_path: Path, most: float | None, fails: bool) -> None:
    made = frame(tmp_path, ["1", "x", None], most=most, hint=lambda samples: f"write {samples[0]}!")
    if not fails:
        write(made, tmp_path)
        return
    with pytest.raises(errors.Permanent, match=r"1 of 2 values.*'x'.*write x!.*max_lost_share") as caught:
        write(made, tmp_path)
    details = caught.value.details
    assert (details["step"], details["field"], details["share"]) == ("processors[0]", "config.cast.v", 0.5)


def test_the_losses_of_united_frames_are_those_of_each(tmp_path: Path) -> None:
    made = frame(tmp_path, ["1", "x"]).union([frame(tmp_path, ["y", "y", "2"])])
    write(made, tmp_path)
    assert sorted(loss.count for loss in made.losses) == [1, 2]
