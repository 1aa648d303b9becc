"""Which engine executes a run, and what the log gives as the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.lib as pa
import pytest
import structlog

from service.jobs import engine
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.kit import errors
from service.model import engines
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from tests.registry import REGISTRY

SPARK = "sc://127.0.0.1:1"
MIB = 1 << 20


def pipeline(name: str, *processors: dict[str, Any], collector: dict[str, Any] | None = None) -> Pipeline:
    source = collector or {"type": "csv", "file_path": "orders.csv"}
    document = {"name": "p", "collectors": [source], "processors": list(processors), "execution": {"engine": name}}
    return pipelines.decode(document, REGISTRY)


def job(tmp_path: Path, size: int = 1, url: str | None = SPARK) -> Job:
    with (tmp_path / "orders.csv").open("wb") as file:
        file.truncate(size)
    grants = Grants(folder=str(tmp_path), memory_bytes=MIB, file_roots=(str(tmp_path),), spark_url=url)
    return Job(grants, structlog.get_logger())


@pytest.mark.parametrize(
    ("size", "name", "reason"),
    [
        (MIB // 2, "polars", "the sources have 0 MiB unpacked, and a run 1 MiB of memory: up to 10 times as much"),
        (10 * MIB, "polars", "the sources have 10 MiB unpacked, and a run 1 MiB of memory: up to 10 times as much"),
        (11 * MIB, "spark", "the sources have 11 MiB unpacked, and a run 1 MiB of memory: more than 10 times as much"),
        (100 * MIB, "spark", "the sources have 100 MiB unpacked"),
    ],
)
def test_auto_goes_by_the_size_of_the_sources(tmp_path: Path, size: int, name: str, reason: str) -> None:
    found = engine.of_size(pipeline("auto"), job(tmp_path, size))
    assert found[0] == name
    assert found[1].startswith(reason)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bz2"])
def test_compressed_sources_have_the_size_of_their_text(tmp_path: Path, kind: str) -> None:
    given = job(tmp_path)
    with pa.output_stream(str(tmp_path / "orders.csv"), compression=kind) as stream:
        stream.write(b"1,2\n" * (5 * MIB))
    name, reason = engine.of_size(pipeline("auto"), given)
    assert name == "spark"
    assert reason.startswith("the sources have 20 MiB unpacked"), reason


def test_parquet_has_the_size_of_its_pages(tmp_path: Path) -> None:
    given = job(tmp_path)
    rows = pl.select(n=pl.int_range(2 * MIB) // 1000)
    rows.write_parquet(tmp_path / "orders.parquet", use_pyarrow=True, pyarrow_options={"use_dictionary": False})
    assert (tmp_path / "orders.parquet").stat().st_size < MIB
    source = {"type": "parquet", "file_path": "orders.parquet"}
    assert engine.of_size(pipeline("auto", collector=source), given)[0] == "spark"


def test_a_plan_has_the_engine_and_its_reason(tmp_path: Path) -> None:
    given = job(tmp_path, 11 * MIB)
    assert engine.planned(pipeline("auto"), given, None).name == "spark"
    without = engine.planned(pipeline("spark"), job(tmp_path, url=None), None)
    assert without.reason == "as configured; a run needs a cluster (PENSTOCK_SPARK_URL)"
    assert engine.planned(pipeline("auto"), given, 2 * MIB).name == "polars"
    assert engine.planned(pipeline("spark"), given, None) == engines.Chosen("spark", "as configured")


def test_auto_is_polars_where_spark_cannot_be(tmp_path: Path) -> None:
    sql = {"type": "sql", "config": {"query": "SELECT 1 AS one FROM input"}}
    api = {"type": "api", "endpoint": "https://example.org/rows"}
    large = job(tmp_path, 100 * MIB)
    assert engine.of_size(pipeline("auto", sql), large) == ("polars", "processors[0] needs all rows in one place")
    assert engine.of_size(pipeline("auto", collector=api), large)[1].startswith(
        "the size of collectors[0] is not known"
    )
    assert engine.of_size(pipeline("auto"), job(tmp_path, 100 * MIB, url=None))[1].startswith("there is no cluster")


def test_spark_without_a_cluster_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with (
        pytest.raises(errors.Permanent, match="set PENSTOCK_SPARK_URL") as caught,
        engine.chosen(pipeline("spark"), job(tmp_path, url=None), "run_1", 1),
    ):
        pass
    assert caught.value.details["field"] == "execution.engine"


def test_spark_refuses_steps_that_need_all_rows_in_one_place() -> None:
    sql = {"type": "sql", "config": {"query": "SELECT 1 AS one FROM input"}}
    with pytest.raises(errors.Invalid) as caught:
        pipeline("spark", {"type": "cleaner", "config": {}}, sql)
    (problem,) = caught.value.details["errors"]
    assert problem["field"] == "processors[1].type"
    assert "needs all rows in one place" in problem["message"]
