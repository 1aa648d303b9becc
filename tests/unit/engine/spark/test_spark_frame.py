"""SparkFrame on a Sail server: every operation answers what PolarsFrame answers, however the rows are divided."""

from __future__ import annotations

import itertools
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.engine.spark import messages
from service.engine.spark.cluster import Cluster
from service.engine.spark.spark_frame import SparkFrame
from service.kit import errors
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.values.losses import Conversion
from tests.unit.engine.every_kind import EVERY_KIND
from tests.unit.engine.processor_examples import CONFIGS, CSV
from tests.unit.processors.table import decode

pytestmark = pytest.mark.services

NAN = float("nan")
Make = Callable[[pl.DataFrame], Frame]
ROWS = pl.DataFrame(
    {
        "k": ["b", "a", None, "b", "c", "a", None, "b", "c", "d"],
        "n": [3, 1, 2, 3, None, 1, 5, 3, 0, 9],
        "f": [0.5, -0.0, NAN, 1e300, None, 0.0, 2.5, -1.5, NAN, 4.25],
    }
)
OTHERS = pl.DataFrame({"k": ["c", "b", None, "b", "x"], "n": [1, 2, 3, 4, 5], "o": ["C", "B", "N", "B2", "X"]})


def divided(cluster: Cluster, rows: pl.DataFrame, tmp_path: Path, cuts: Sequence[int] = (4, 4, 9)) -> SparkFrame:
    ends = [0, *cuts, rows.height]
    parts = [rows[a:b].lazy() for a, b in itertools.pairwise(ends)]
    return SparkFrame(cluster, parts, tmp_path)


def whole(rows: pl.DataFrame, tmp_path: Path) -> PolarsFrame:
    return PolarsFrame(rows.lazy(), tmp_path)


def written(frame: Frame, tmp_path: Path) -> pl.DataFrame:
    target = tmp_path / "out.parquet"
    frame.write(target, compression="zstd", compression_level=1, row_group_size=None)
    rows = pl.read_parquet(target)
    assert rows.schema == frame.schema
    target.unlink()
    return rows


def assert_alike(cluster: Cluster, tmp_path: Path, work: Callable[[Frame, Make], Frame]) -> None:
    """``work`` gets a frame and a function that makes others."""
    local = work(whole(ROWS, tmp_path), lambda rows: whole(rows, tmp_path))
    remote = work(divided(cluster, ROWS, tmp_path), lambda rows: divided(cluster, rows, tmp_path, cuts=(2,)))
    assert remote.schema == local.schema
    assert written(remote, tmp_path).equals(written(local, tmp_path), null_equal=True)


def test_executors_are_checked(cluster: Cluster, tmp_path: Path) -> None:
    cluster.check()
    assert [path.name for path in tmp_path.rglob("*")] == ["attempt-1"]
    cluster.close()
    assert list(tmp_path.iterdir()) == []


def test_sources_must_be_what_executors_read(
    cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path_factory.mktemp("source") / "a.csv"
    source.write_text("a\n1\n")
    cluster.check([source])
    perform = cluster.perform

    def later(tasks: Any, kind: Any) -> Any:
        source.unlink()  # where executors look
        return perform(tasks, kind)

    monkeypatch.setattr(cluster, "perform", later)
    with pytest.raises(errors.Permanent, match=r"an executor cannot read .*a\.csv as this service does"):
        cluster.check([source])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_server_that_does_not_answer_is_worth_another_attempt(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(errors.Transient, match="no Spark server answers"):
        Cluster(f"sc://127.0.0.1:{port}", "run_1", tmp_path)


def test_other_versions_are_refused(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "versions", lambda: {"Python": "3.1", "Polars": pl.__version__})
    with pytest.raises(errors.Permanent, match=r"an executor has Python 3\.\d+, not 3\.1; install the same there"):
        cluster.check()


def test_what_is_left_of_a_run_that_has_ended_does_nothing(cluster: Cluster, tmp_path: Path) -> None:
    frame = divided(cluster, ROWS, tmp_path)
    frame.measure([Metric("", "rows")])
    shutil.rmtree(tmp_path)
    with pytest.raises(errors.Permanent, match="the run has ended"):
        frame.measure([Metric("n", "max")])
    with pytest.raises(FileNotFoundError):
        frame.distinct(["k"])


@pytest.mark.parametrize("height", [0, 1, 2])
def test_a_stage_gives_every_type_back(cluster: Cluster, tmp_path: Path, height: int) -> None:
    frame = divided(cluster, EVERY_KIND.head(height), tmp_path, cuts=())
    assert frame.measure([Metric("", "rows")]) == {Metric("", "rows"): height}
    assert written(frame, tmp_path).equals(EVERY_KIND.head(height), null_equal=True)


def test_rows_keep_their_order(cluster: Cluster, tmp_path: Path) -> None:
    assert_alike(
        cluster, tmp_path, lambda f, _: f.rows(lambda lf: lf.filter(pl.col("n") > 0).with_columns(m=pl.col("n") * 2))
    )
    assert_alike(cluster, tmp_path, lambda f, _: f.rows(lambda lf: lf.filter(pl.col("n") > 0)).with_row_index("i"))


@pytest.mark.parametrize("keep", ["first", "last", "none", "any"])
@pytest.mark.parametrize("keys", [["k"], ["k", "n"], None, ["f"]])
def test_distinct(cluster: Cluster, tmp_path: Path, keep: Any, keys: list[str] | None) -> None:
    assert_alike(cluster, tmp_path, lambda f, _: f.distinct(keys, keep=keep))


def test_group(cluster: Cluster, tmp_path: Path) -> None:
    made = [pl.col("n").sum().alias("s"), pl.len().alias("rows"), pl.col("f").max().alias("top")]
    assert_alike(cluster, tmp_path, lambda f, _: f.group(["k"], made))
    big = (pl.col("n") > 2).alias("big")
    assert_alike(cluster, tmp_path, lambda f, _: f.group(["k", "big"], made, prepared=[big]))


def test_per_group(cluster: Cluster, tmp_path: Path) -> None:
    made = [pl.col("n").shift().alias("before"), pl.col("f").forward_fill()]
    for by, order in ((["k"], ["n"]), (["k"], []), ([], ["n", "f"]), ([], [])):
        assert_alike(cluster, tmp_path, lambda f, _, by=by, order=order: f.per_group(by, order, made))  # type: ignore[misc]


@pytest.mark.parametrize("how", ["inner", "left", "full"])
@pytest.mark.parametrize("on", [["k"], ["k", "n"]])
def test_join(cluster: Cluster, tmp_path: Path, how: Any, on: list[str]) -> None:
    assert_alike(cluster, tmp_path, lambda f, make: f.join(make(OTHERS), on, how=how))


def test_columns_of_any_name_beside_ours(cluster: Cluster, tmp_path: Path) -> None:
    odd = {"k": "\x1frow", "f": "\x1fbucket"}  # what a source without NUL may have

    def work(frame: Frame, make: Make) -> Frame:
        other = make(OTHERS.rename({"k": "\x1frow", "o": "\x1fother"}))
        renamed = frame.rows(lambda lf: lf.rename(odd))
        return renamed.distinct(["\x1frow"]).join(other, ["\x1frow"], how="left").sort(["n"], descending=[True])

    assert_alike(cluster, tmp_path, work)


def test_union(cluster: Cluster, tmp_path: Path) -> None:
    assert_alike(cluster, tmp_path, lambda f, make: f.union([make(OTHERS)]))
    mixed = OTHERS.with_columns(n=pl.col("o"), f=pl.lit(1))
    assert_alike(cluster, tmp_path, lambda f, make: f.union([make(mixed)]))


@pytest.mark.parametrize(
    ("by", "descending"), [(["n"], [False]), (["n", "k"], [True, False]), (["f"], [True]), (["k"], [False])]
)
def test_sort(cluster: Cluster, tmp_path: Path, by: list[str], descending: list[bool]) -> None:
    assert_alike(cluster, tmp_path, lambda f, _: f.sort(by, descending=descending))


def test_metrics_are_those_of_the_local_engine(cluster: Cluster, tmp_path: Path) -> None:
    kinds: list[Metric] = [Metric("", "rows"), Metric("", "duplicates"), Metric("", "sample")]
    for name in ("n", "f"):
        for kind in ("nulls", "distinct", "min", "max", "sum", "mean", "std", "variance", "skew", "kurtosis", "zeros",
                     "negatives", "nan", "mode"):  # fmt: skip
            kinds.append(Metric(name, kind))
        kinds += [Metric(name, "quantile", (0.1, 0.5)), Metric(name, "histogram", 4), Metric(name, "top", 3)]
    kinds += [Metric("k", "top", 2), Metric("k", "categories"), Metric("k", "lengths"), Metric("k", "forms"),
              Metric("n", "corr", "f"), Metric("n", "spearman", "f"), Metric("k", "means", "n")]  # fmt: skip
    rows = ROWS.with_columns(f=pl.col("f").clip(-1e6, 1e6))
    local = whole(rows, tmp_path).measure(kinds, steady=True)
    remote = divided(cluster, rows, tmp_path).measure(kinds, steady=True)
    assert set(remote) == set(local)
    for metric in kinds:
        assert (
            remote[metric] == pytest.approx(local[metric], rel=1e-9)
            if isinstance(local[metric], float)
            else (remote[metric] == local[metric])
        ), metric


def conversion(most: float | None = None) -> Conversion:
    text = pl.col("k")
    return Conversion("k", text.cast(pl.Int64, strict=False), text, "k", "cast", "are not numbers", most=most)


def test_lost_values_are_counted_with_the_rows_of_the_whole(cluster: Cluster, tmp_path: Path) -> None:
    def of(make: Make, most: float | None = None) -> Frame:
        filtered = make(ROWS).rows(lambda lf: lf.filter(pl.col("n").is_not_null()))
        return filtered.convert("processors[0]", [conversion(most)])

    local, remote = (
        of(lambda rows: whole(rows, tmp_path)),
        of(lambda rows: divided(cluster, rows, tmp_path, cuts=(1, 2))),
    )
    assert written(local, tmp_path).equals(written(remote, tmp_path), null_equal=True)
    assert list(remote.losses) == list(local.losses) != []
    with pytest.raises(errors.Permanent, match="more than max_lost_share"):
        of(lambda rows: divided(cluster, rows, tmp_path), 0.5).measure([Metric("", "rows")])


def test_values_lost_before_a_union_are_those_of_each_frame(cluster: Cluster, tmp_path: Path) -> None:
    def of(make: Make, most: float | None = None) -> Frame:
        frames = [
            make(rows).convert(f"collectors[{n}]", [conversion(most if n == 2 else None)])
            for n, rows in enumerate((ROWS, ROWS.tail(4), ROWS.head(5)))
        ]
        return frames[0].union([frames[1].union(frames[2:])])

    local = of(lambda rows: whole(rows, tmp_path))
    remote = of(lambda rows: divided(cluster, rows, tmp_path, cuts=(2,)))
    assert written(local, tmp_path).equals(written(remote, tmp_path), null_equal=True)
    assert [loss.step for loss in remote.losses] == ["collectors[0]", "collectors[1]", "collectors[2]"]
    assert list(remote.losses) == list(local.losses)
    with pytest.raises(errors.Permanent, match="more than max_lost_share"):
        of(lambda rows: divided(cluster, rows, tmp_path, cuts=(2,)), 0.5).measure([Metric("", "rows")])


@pytest.mark.parametrize("dtype", [pl.Date(), pl.Datetime("us")])
def test_dates_that_no_answer_can_hold_are_named(cluster: Cluster, tmp_path: Path, dtype: pl.DataType) -> None:
    far = 2**30 if dtype == pl.Date() else 2**62
    rows = pl.DataFrame({"n": [1, 2], "at": pl.Series([0, far]).cast(pl.Int32 if dtype == pl.Date() else pl.Int64)})
    said = []
    for frame in (whole, lambda rows, path: divided(cluster, rows, path, cuts=(1,))):
        made = frame(rows.with_columns(pl.col("at").cast(dtype)), tmp_path)
        with pytest.raises(errors.Permanent) as caught:
            made.measure([Metric("n", "max"), Metric("at", "max")])
        said.append(caught.value.message)
    assert said == ["column 'at' holds dates outside of the years 1 to 9999; filter them before, by year(at) BETWEEN 1 "
                    "AND 9999"] * 2  # fmt: skip


def test_a_sort_by_a_column_without_values_warns_of_nothing(cluster: Cluster, tmp_path: Path) -> None:
    rows = ROWS.with_columns(n=pl.lit(None, pl.Float64))
    assert written(divided(cluster, rows, tmp_path).sort(["n"], descending=[False]), tmp_path).equals(rows)


def test_an_error_of_the_data_is_ours(cluster: Cluster, tmp_path: Path) -> None:
    frame = divided(cluster, ROWS, tmp_path).rows(lambda lf: lf.with_columns(pl.col("k").cast(pl.Int64)))
    with pytest.raises(errors.Permanent, match="conversion from `str` to `i64` failed"):
        frame.measure([Metric("", "rows")])
    known = frame.on_error(lambda error: errors.Permanent("line 3", step="collectors[0]"))
    with pytest.raises(errors.Permanent, match="line 3"):
        known.measure([Metric("", "rows")])


@pytest.mark.parametrize("name", CONFIGS)
def test_processors_make_the_same_rows_and_numbers(cluster: Cluster, tmp_path: Path, name: str) -> None:
    source = tmp_path / "orders.csv"
    source.write_text(CSV)
    tag, config = CONFIGS[name]
    found = []
    rows = pl.read_csv(source)
    for frame in (whole(rows, tmp_path), divided(cluster, rows, tmp_path, cuts=(2, 3))):
        ctx = ProcessContext("processors[0]", tmp_path)
        made = decode(tag, config).apply(frame, ctx)
        found.append(
            (written(made, tmp_path), ctx.report().fitted, [w.code for w in ctx.report().warnings], made.losses)
        )
    (local, *told), (remote, *same) = found
    assert remote.equals(local, null_equal=True)
    assert same == told
