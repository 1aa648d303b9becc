"""PolarsFrame: what each operation answers, that a dear source is read once, and what the engine executes."""

from __future__ import annotations

import datetime as dt
import gc
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyarrow import parquet

from service.engine.counters import Counters
from service.engine.memory import Memory
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.context import ProcessContext
from service.steps.frame import Frame, RowLocal
from service.steps.metric import Metric
from tests.unit.engine.every_kind import EVERY_KIND
from tests.unit.engine.processor_examples import CONFIGS, CSV
from tests.unit.processors.table import decode

ROWS = Metric("", "rows")


@pytest.fixture(autouse=True, params=["file", "memory"])
def staging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small stages are read back into memory; everything must hold for those that stay files, too."""
    if request.param == "file":
        monkeypatch.setattr(Memory, "for_stage", lambda *_: 0)
    return str(request.param)


def of(data: Any, tmp_path: Path, **options: Any) -> PolarsFrame:
    return PolarsFrame(pl.DataFrame(data).lazy(), tmp_path, **options)


def rows(frame: Frame) -> list[tuple[Any, ...]]:
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming").rows()


@pytest.mark.parametrize("height", [0, 1, 2])
def test_a_stage_gives_every_type_back(tmp_path: Path, height: int) -> None:
    frame = of(EVERY_KIND.head(height), tmp_path)
    assert frame.measure([ROWS]) == {ROWS: height}
    assert frame.schema == EVERY_KIND.schema
    staged = frame.lazy.collect()
    assert staged.schema == EVERY_KIND.schema
    assert staged.equals(EVERY_KIND.head(height), null_equal=True)


def test_the_stage_goes_with_the_last_frame_that_needs_it(tmp_path: Path) -> None:
    frame = of({"a": [1, 2]}, tmp_path)
    frame.measure([ROWS])
    later = frame.rows(lambda lf: lf.filter(pl.col("a") > 1))
    del frame
    gc.collect()
    assert rows(later) == [(2,)]
    del later
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_dear_source_is_read_once_and_a_cheap_one_is_not_staged(tmp_path: Path, staging: str) -> None:
    source = tmp_path / "a.csv"
    source.write_text("a\n1\n2\n")
    frame = PolarsFrame(pl.scan_csv(source), tmp_path)
    frame.measure([ROWS])
    source.unlink()
    made = frame.rows(lambda lf: lf.with_columns(b=pl.col("a") * 2))
    assert made.measure([Metric("b", "sum")]) == {Metric("b", "sum"): 6}
    assert rows(made) == [(1, 2), (2, 4)]
    assert len(list(tmp_path.glob("stage-*"))) == (staging == "file")
    cheap = of({"a": [1]}, tmp_path, expensive=False)
    cheap.measure([ROWS])
    assert len(list(tmp_path.glob("stage-*"))) == (staging == "file")


def test_distinct_keeps_the_order(tmp_path: Path) -> None:
    frame = of({"k": [2, 1, 2, None, None, 1], "v": [0, 1, 2, 3, 4, 5]}, tmp_path)
    kept = {keep: [v for _, v in rows(frame.distinct(["k"], keep=keep))] for keep in ("first", "last", "none", "any")}
    assert kept == {"first": [0, 1, 3], "last": [2, 4, 5], "none": [], "any": [0, 1, 3]}


def test_union_is_by_name_and_widens_types(tmp_path: Path) -> None:
    first, second = of({"a": [1], "b": ["x"]}, tmp_path), of({"b": ["y"], "a": [1.5], "c": [True]}, tmp_path)
    assert rows(first.union([second])) == [(1.0, "x", None), (1.5, "y", True)]
    mixed = of({"a": [1]}, tmp_path).union([of({"a": [dt.date(2024, 1, 1)]}, tmp_path), of({"a": [None]}, tmp_path)])
    assert rows(mixed) == [("1",), ("2024-01-01",), (None,)]


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("inner", [(2, "b", "B")]),
        ("left", [(2, "b", "B"), (1, "a", None), (None, "n", None)]),
        ("full", [(2, "b", "B"), (1, "a", None), (None, "n", None), (3, None, "C"), (None, None, "N")]),
    ],
)
def test_join_by_equal_keys_where_null_matches_nothing(tmp_path: Path, how: Any, wanted: list[Any]) -> None:
    left = of({"k": [2, 1, None], "l": ["b", "a", "n"]}, tmp_path)
    right = of({"k": [3, 2, None], "r": ["C", "B", "N"]}, tmp_path)
    assert rows(left.join(right, ["k"], how=how)) == wanted


def test_group_and_sort(tmp_path: Path) -> None:
    frame = of({"k": ["b", "a", "b"], "v": [3, None, 1]}, tmp_path)
    assert rows(frame.group(["k"], [pl.col("v").sum()])) == [("b", 4), ("a", 0)]
    assert rows(frame.sort(["v"], descending=[True])) == [("b", 3), ("b", 1), ("a", None)]


def test_frames_of_another_engine_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot combine"):
        of({"a": [1]}, tmp_path).union([object()])  # type: ignore[list-item]


def test_an_error_of_the_engine_is_ours(tmp_path: Path) -> None:
    frame = of({"a": ["x"]}, tmp_path).rows(lambda lf: lf.with_columns(pl.col("a").cast(pl.Int64)))
    with pytest.raises(errors.Permanent, match="conversion from `str` to `i64` failed"):
        frame.measure([ROWS])
    with pytest.raises(errors.Permanent):
        frame.write(tmp_path / "x.parquet", compression="zstd", compression_level=1, row_group_size=None)


# -- laws of every processor -------------------------------------------------------------------------------------


class Split(PolarsFrame):
    """Applies row-local steps to the rows before and after a cut, and puts them together again."""

    cut = 2

    def rows(self, step: RowLocal) -> PolarsFrame:
        parts = [step(self._lf.slice(0, self.cut)), step(self._lf.slice(self.cut))]
        return self._next(pl.concat(parts), expensive=self._expensive)


class Counted(PolarsFrame):
    """Counts the stages."""

    stages: Sequence[int] = ()

    def _stage(self, *, keep: bool = False) -> None:
        Counted.stages = [*Counted.stages, 1]
        super()._stage(keep=keep)


def applied(kind: type[PolarsFrame], name: str, tmp_path: Path) -> PolarsFrame:
    source = tmp_path / "orders.csv"
    source.write_text(CSV)
    tag, config = CONFIGS[name]
    frame = decode(tag, config).apply(kind(pl.scan_csv(source), tmp_path), ProcessContext("processors[0]", tmp_path))
    assert isinstance(frame, PolarsFrame)
    return frame


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_row_local_steps_look_at_one_row(tmp_path: Path, name: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Split, "cut", cut)
    whole, parted = applied(PolarsFrame, name, tmp_path), applied(Split, name, tmp_path)
    assert whole.lazy.collect().equals(parted.lazy.collect(), null_equal=True)


def _nodes(lf: pl.LazyFrame) -> list[str]:
    graph = lf.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert graph is not None
    return re.findall(r'label="([\w-]+)', graph)


STREAMING = {
    "multi-scan", "select", "with-columns", "filter", "is-first-distinct", "semi-join", "multiplexer", "with-row-index",
    "group-by", "sort", "in-memory-source", "parquet-source", "simple-projection",
    "zip-strict",  # rows beside the marks of those that a distinct keeps
    "map",  # the node that counts lost values
}  # fmt: skip


def test_the_orders_job_reads_its_source_once_stages_once_and_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference job in small: two cleaners, the analyzer, the transformer, then the write."""
    monkeypatch.setattr(Counted, "stages", ())
    source = tmp_path / "orders.csv"
    source.write_text(CSV)
    progress = Counters()
    progress.begin(CSV.count("\n") - 1)
    frame: Frame = Counted(pl.scan_csv(source), tmp_path, progress=progress)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("cleaner", {"cast": {"Price": "float64"}, "fill_na": {"city": "?"}, "drop_duplicates": ["id"]}),
        ("cleaner", {"fill_na": {"Price": {"strategy": "median"}}}),
        ("analyzer", {}),
        ("transformer", {"normalize": {"Price": "standard"}, "encode": {"city": "onehot"}}),
    ]
    for tag, config in steps:
        frame = decode(tag, config).apply(frame, ProcessContext("processors[0]", tmp_path))
        if Counted.stages and source.exists():
            source.unlink()  # whoever came back for it would not find it
    assert isinstance(frame, Counted)
    assert len(Counted.stages) == 1
    nodes = _nodes(frame.lazy)
    assert set(nodes) <= STREAMING
    assert len([n for n in nodes if "scan" in n or "source" in n]) == 1
    assert frame.write(tmp_path / "o.parquet", compression="zstd", compression_level=1, row_group_size=None) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_no_plan_mixes_aggregates_with_rows_or_leaves_the_streaming_engine(tmp_path: Path, name: str) -> None:
    assert set(_nodes(applied(PolarsFrame, name, tmp_path).lazy)) <= STREAMING


def test_windows_keep_the_row_order_and_stream(tmp_path: Path) -> None:
    frame = of({"g": ["b", "a", "b", None], "t": [2, 1, 1, 1], "v": [1, 2, 3, 4]}, tmp_path)
    sums = frame.per_group(["g"], ["t"], [pl.col("v").cum_sum().alias("s")])
    assert [r[3] for r in rows(sums)] == [4, 2, 3, 4]
    assert [r[3] for r in rows(frame.per_group([], ["t", "v"], [pl.col("v").shift(1).alias("s")]))] == [4, None, 2, 3]
    assert [r[3] for r in rows(frame.per_group([], [], [pl.col("v").shift(1).alias("s")]))] == [None, 1, 2, 3]
    assert set(_nodes(sums.lazy)) <= STREAMING | {"window"}


def test_rows_are_numbered_in_their_order(tmp_path: Path) -> None:
    assert rows(of({"a": ["x", "y"]}, tmp_path).with_row_index("n")) == [(0, "x"), (1, "y")]


def test_files_of_wide_rows_have_small_row_groups(tmp_path: Path) -> None:
    data = {"n": range(20_000)}

    def groups(frame: Frame, size: int | None = None) -> int:
        target = tmp_path / "w.parquet"
        assert frame.write(target, compression="lz4", compression_level=None, row_group_size=size) == 20_000
        return int(parquet.ParquetFile(target).metadata.num_row_groups)  # type: ignore[no-untyped-call]  # it ships no types

    assert groups(of(data, tmp_path, row_bytes=200)) == 1
    wide = of(data, tmp_path, row_bytes=4096)
    assert groups(wide) == 5
    assert groups(wide, 10_000) == 2
    joined = of(data, tmp_path).join(wide, ["n"])
    assert groups(joined) == 5
    assert groups(wide.rows(lambda lf: lf.with_columns(pl.lit(1).alias("one")))) == 5


def test_a_wide_stage_is_filtered_after_it_is_read(tmp_path: Path, staging: str) -> None:
    """The scan of Parquet takes minutes to filter by thousands of columns."""
    columns = {f"c{i}": [i, None, 1] for i in range(300)}
    frame = of(columns, tmp_path)
    assert frame.measure([ROWS]) == {ROWS: 3}
    known = frame.rows(lambda lf: lf.filter(pl.all_horizontal(pl.all().is_not_null())))
    assert rows(known) == [tuple(range(300)), (1,) * 300]
    plan = known.lazy.explain()
    assert staging == "memory" or re.search(r"FILTER[^§]*OPAQUE_PYTHON\n\s+Parquet SCAN(?![^§]*SELECTION)", plan)
    assert staging == "memory" or "PROJECT 1/300 COLUMNS" in frame.lazy.select("c7").explain()


@pytest.mark.parametrize(("columns", "row_bytes", "groups"), [(3, 8_000, 2), (2_000, 8_000, 1), (3, 100, 1)])
def test_row_groups_of_many_columns_are_larger(tmp_path: Path, columns: int, row_bytes: int, groups: int) -> None:
    """What a file keeps of each column of each row group is held until it is written."""
    rows = pl.LazyFrame({f"c{i}": range(4_000) for i in range(columns)})
    frame = PolarsFrame(rows, tmp_path, row_bytes=row_bytes)
    frame.write(tmp_path / "rows.parquet", compression="zstd", compression_level=1, row_group_size=None)
    found = parquet.read_metadata(tmp_path / "rows.parquet")  # type: ignore[no-untyped-call]  # it ships no types
    assert found.num_row_groups == groups
