"""Encodings of more categories than a step can hold, and reading that ends where there are too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine import metrics, value_groups
from service.engine.fit_record import MetricAnswer, Playback, StepRecord
from service.engine.memory import Memory
from service.engine.polars_frame import PolarsFrame
from service.engine.scratch import Scratch
from service.jobs import memory, process
from service.jobs.process import Processed
from service.kit import errors
from service.processors.features import encode
from service.steps.metric import Metric
from service.values.too_large import TooLarge
from tests.examples import examples
from tests.registry import a_pipeline
from tests.unit.jobs.walking import job_in, transformer


def encoded(data: pl.DataFrame, folder: Path, room: Memory | None = None, **settings: Any) -> PolarsFrame:
    frame = PolarsFrame(data.lazy(), folder, memory=room)
    pipeline = a_pipeline(processors=[transformer(rename_columns={"raw": "c"}, encode={"c": settings})])
    made = process.process(pipeline, Processed(frame), job_in(str(folder)))[0].frame
    assert isinstance(made, PolarsFrame)
    return made


@pytest.mark.parametrize(
    ("settings", "advice"),
    [({"method": m}, "max_categories") for m in ("ordinal", "binary", "frequency")]
    + [({"method": "target", "target": "t"}, "use the method hash")],
)
def test_more_categories_than_the_memory_holds_name_the_setting(
    settings: dict[str, Any], advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_groups, "_FEW_CATEGORIES", 10)
    monkeypatch.setattr(Scratch, "left", lambda self: 4000)
    data = pl.DataFrame({"raw": [f"value {i}" for i in range(100)], "t": 1})
    with pytest.raises(TooLarge) as raised:
        encoded(data, tmp_path, **settings)
    error = memory.exhausted(512 << 20, "run", raised.value)
    assert error.error_code == "RUN_OUT_OF_MEMORY"
    assert advice in error.message
    assert "512 MiB" in error.message
    assert (error.details["step"], error.details["field"]) == ("processors[0]", "config.encode.c")
    assert error.details["needed_bytes"] > 4000


def test_few_categories_are_never_too_many(tmp_path: Path) -> None:
    """What a kept worker has left may be little; a thousand categories fit in any case."""
    data = pl.DataFrame({"raw": [f"value {i}" for i in range(1000)]})
    nothing_left = Memory(1, held=lambda: 1)
    made = encoded(data, tmp_path, nothing_left, method="ordinal")
    assert made.lazy.collect()["c"].to_list() == [sorted(data["raw"]).index(text) for text in data["raw"]]


def test_reading_ends_where_columns_would_be_too_many(tmp_path: Path) -> None:
    read = 0

    def look(batch: pl.DataFrame) -> pl.DataFrame:
        nonlocal read
        read += batch.height
        return batch

    pl.DataFrame({"raw": pl.int_range(2_000_000, eager=True)}).write_parquet(tmp_path / "o", row_group_size=50_000)
    lf = pl.scan_parquet(tmp_path / "o").map_batches(look, streamable=True)
    found = metrics.answer(lf, lf.collect_schema(), [Metric("raw", "categories", encode.MAX_COLUMNS)])
    assert found[Metric("raw", "categories", encode.MAX_COLUMNS)] is None
    assert read < 4_000_000  # the pass that counts rows reads all of them, and this one does not
    with pytest.raises(errors.Permanent, match="more than 1000 categories") as raised:
        encoded(pl.DataFrame({"raw": range(1001)}), tmp_path, method="onehot")
    assert raised.value.details["field"] == "config.encode.c"


VALUES = {
    pl.String(): st.sampled_from(["", "a", "b", "ä", "B"]), pl.Boolean(): st.booleans(),
    pl.Float64(): st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]), pl.Int64(): st.integers(-3, 3),
    pl.Categorical(): st.sampled_from(["x", "y"]),
}  # fmt: skip


@examples(60)
@given(st.data(), st.sampled_from(list(VALUES)), st.integers(1, 4))
def test_bounded_categories_are_all_or_none(data: st.DataObject, dtype: pl.DataType, most: int) -> None:
    column = pl.Series("a", data.draw(st.lists(st.none() | VALUES[dtype], max_size=12)), dtype=dtype)
    lf, every, bounded = column.to_frame().lazy(), Metric("a", "categories"), Metric("a", "categories", most)
    schema = lf.collect_schema()
    wanted = metrics.answer(lf, schema, [every])[every]
    for asked in ([bounded], [bounded, Metric("a", "top", 2)], [bounded, every]):
        found = metrics.answer(lf, schema, asked)[bounded]
        assert repr(found) == repr(wanted if len(wanted) <= most else None)
    for before in (every, Metric("a", "distinct")):
        frame = PolarsFrame(lf, Path())
        frame.measure([before])
        assert repr(frame.measure([bounded])[bounded]) == repr(found)


def test_a_record_without_a_bound_still_answers() -> None:
    """As versions of earlier releases have it."""
    record = StepRecord([[MetricAnswer(Metric("a", "categories"), ["x", "y"])]])
    bounded = Metric("a", "categories", encode.MAX_COLUMNS)
    assert Playback("processors[0]", record).answers([bounded]) == {bounded: ["x", "y"]}
