"""Sources on a Sail server: files that are read in ranges give the rows, losses and errors of whole ones."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors import parquet as parquet_files
from service.collectors.csv_file import byte_ranges
from service.collectors.records import line_ranges
from service.engine.counters import Counters
from service.engine.polars_frame import PolarsFrame
from service.engine.spark import factory, file_parts, messages
from service.engine.spark.cluster import Cluster
from service.engine.spark.spark_frame import SparkFrame
from service.kit import errors
from service.steps.frame import Frame
from service.steps.metric import Metric
from tests.unit.collectors.file_source import collector, surroundings

pytestmark = pytest.mark.services

ROWS = Metric("", "rows")
ORDERS = 'id,price,note\n' + "".join(
    f'{n},{"junk" if n % 7 == 3 else n / 4},"said ""{n}"",\nand more"\n' for n in range(40)
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_ranges, "SIZE", 100)
    monkeypatch.setattr(line_ranges, "BATCHES", 1)
    monkeypatch.setattr(parquet_files, "_PART_ROWS", 7)
    monkeypatch.setattr("service.collectors.csv_file.survey._PIECE", 64)


def frames(cluster: Cluster, tmp_path: Path, files: dict[str, bytes], kind: str, **config: Any) -> tuple[Frame, Frame]:
    """The source by the local engine and by the cluster."""
    ctx = surroundings(tmp_path, files)
    found = []
    for name, make in (("local", PolarsFrame), ("remote", factory.frames(cluster, Counters()))):
        folder = tmp_path / name
        folder.mkdir()
        own = dataclasses.replace(ctx, folder=folder, frames=make, spread=cluster.spread if name == "remote" else None)
        found.append(asyncio.run(collector(kind, **config).collect(own)))
    local, remote = found
    return local, remote


def assert_alike(local: Frame, remote: Frame, least: int) -> None:
    """Equal rows and losses; the cluster's come from at least so many parts."""
    assert isinstance(remote, SparkFrame)
    assert isinstance(local, PolarsFrame)
    assert remote.parts >= least
    assert local.measure([ROWS]) == remote.measure([ROWS])
    assert remote.lazy.collect().equals(local.lazy.collect(), null_equal=True)
    assert list(remote.losses) == list(local.losses)


def test_csv_in_byte_ranges(cluster: Cluster, tmp_path: Path) -> None:
    files = {"a.csv": ORDERS.encode(), "b.csv": b"id,extra\n7,x\n"}
    assert_alike(*frames(cluster, tmp_path, files, "csv", file_path="*.csv"), least=8)


def test_values_lost_in_ranges_have_the_places_of_the_file(cluster: Cluster, tmp_path: Path) -> None:
    local, remote = frames(
        cluster, tmp_path, {"a.csv": ORDERS.encode()}, "csv", file_path="a.csv", schema={"price": "float64"},
        on_error="null",
    )  # fmt: skip
    assert_alike(local, remote, least=8)
    assert [loss.count for loss in remote.losses] == [6]


def test_errors_in_ranges_name_the_line_of_the_file(cluster: Cluster, tmp_path: Path) -> None:
    said = []
    for frame in frames(
        cluster, tmp_path, {"a.csv": ORDERS.encode()}, "csv", file_path="a.csv", schema={"price": "float64"}
    ):
        with pytest.raises(errors.Permanent) as caught:
            frame.measure([ROWS])
        said.append((str(caught.value), caught.value.details))
    assert said[0] == said[1]
    assert "column 'price': junk does not fit float64" in said[0][0]


def test_parquet_by_rows(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_parts, "ROWS", 7)
    path = tmp_path / "uploads" / "a.parquet"
    path.parent.mkdir()
    pl.DataFrame({"n": range(30), "t": [str(n) for n in range(30)]}).write_parquet(path, row_group_size=5)
    assert_alike(*frames(cluster, tmp_path, {}, "parquet", file_path="a.parquet"), least=5)
    for folder in ("local", "remote"):
        (tmp_path / folder).rename(tmp_path / f"{folder}-1")
    chosen = {"file_path": "a.parquet", "schema": {"t": "int64"}}
    assert_alike(*frames(cluster, tmp_path, {}, "parquet", **chosen), least=5)


LINES = "".join(f'{{"id": {n}, "of": {{"a": {n % 3}}}, "x": {"null" if n < 20 else n / 2}}}\n' for n in range(30))


def test_lines_of_json_in_ranges(cluster: Cluster, tmp_path: Path) -> None:
    body = LINES * 12_000
    assert_alike(*frames(cluster, tmp_path, {"a.json": body.encode()}, "json", file_path="a.json"), least=2)


def test_an_invalid_line_is_named_as_in_the_file(cluster: Cluster, tmp_path: Path) -> None:
    body = LINES * 12_000 + '{"id": 1\n' + LINES
    ctx = surroundings(tmp_path, {"a.json": body.encode()})
    said = []
    for spread in (None, cluster.spread):
        with pytest.raises(errors.Permanent) as caught:
            asyncio.run(collector("json", file_path="a.json").collect(dataclasses.replace(ctx, spread=spread)))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "line 360001" in said[0]


def test_rows_that_this_process_has_are_copied_for_the_executors(cluster: Cluster, tmp_path: Path) -> None:
    lock = threading.Lock()

    def held(values: pl.Series) -> pl.Series:
        with lock:
            return values

    make = factory.frames(cluster, Counters())
    many = pl.DataFrame({"n": range(300_000)})
    own = pl.LazyFrame({"n": [1, 2]}).with_columns(pl.col("n").map_batches(held))
    for lf in (many.lazy(), own):
        frame = make(lf, tmp_path)
        assert isinstance(frame, SparkFrame)
        assert frame.measure([Metric("n", "max")]) == {Metric("n", "max"): lf.collect()["n"].max()}


@pytest.mark.parametrize("written", ["hunter2-of-the-api", "Basic bWU6aHVudGVyMi1vZi10aGUtYXBp"])
def test_a_plan_with_a_secret_stays_in_this_process(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    sent: list[bytes] = []
    encode = messages.encode

    def noted(message: messages.Order | messages.Result) -> bytes:
        sent.append(encode(message))
        return sent[-1]

    monkeypatch.setattr(messages, "encode", noted)
    make = factory.frames(cluster, Counters(), ["hunter2-of-the-api"])
    lf = pl.LazyFrame({"n": [1, 2]}).map_batches(lambda rows: rows + len(written))
    assert make(lf, tmp_path).measure([Metric("n", "max")]) == {Metric("n", "max"): 2 + len(written)}
    assert sent
    assert not any(written.encode() in message for message in sent)
