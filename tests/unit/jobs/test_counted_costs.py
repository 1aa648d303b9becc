"""What the reference job costs, counted and not timed: passes, stages, queries of the engine, bytes written."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks import orders
from service.engine.memory import RESERVE, Memory
from service.jobs import child_log, collect, dry_run, plugins, process, store
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.steps.collector import Declared
from service.values.staged import Staged

ROWS = 30_000
EXECUTING = ("collect", "sink_batches", "sink_parquet", "sink_ipc", "collect_batches")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return orders.write_csv(tmp_path_factory.mktemp("source") / "orders.csv", ROWS)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """How often Polars executed a plan, by the method that was called."""
    counts: collections.Counter[str] = collections.Counter()

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            counts[name] += 1
            return method(*given, **named)

        return call

    for name in EXECUTING:
        monkeypatch.setattr(pl.LazyFrame, name, counted(name, getattr(pl.LazyFrame, name)))
    return counts


def job_of(source: Path, folder: Path) -> tuple[Pipeline, Job]:
    document = orders.pipeline("orders", str(source), native=False)
    job = Job(Grants(folder=str(folder), file_roots=(str(source.parent),), memory_bytes=0), child_log.logger(_ignore))
    return pipelines.decode(document, plugins.registry()), job


def _ignore(_: dict[str, Any]) -> None:
    return None


def run(source: Path, folder: Path) -> list[Staged]:
    """Collect, process and store, as a run does; where the rows were staged."""
    pipeline, job = job_of(source, folder)
    collected = asyncio.run(collect.collect(pipeline, job))
    processed, _ = process.process(pipeline, Processed(collected.frame, dict(collected.rows)), job)
    written = store.store(pipeline, processed.frame, job)
    assert ROWS * 0.97 < written.rows < ROWS
    return [stage for step in job.journal.steps for stage in step.stages]


def written_bytes() -> int:
    """What this process handed to ``write`` so far."""
    return next(int(line.split()[1]) for line in Path("/proc/self/io").read_text().splitlines() if "wchar" in line)


def test_the_plan_of_the_reference_job_has_one_stage_and_five_passes(source: Path, tmp_path: Path) -> None:
    """A stage, the medians, the profile, what the transformer fits (the profile has the categories), and the rows."""
    pipeline, job = job_of(source, tmp_path)
    collected = asyncio.run(collect.collect(pipeline, job))
    dry = dry_run.dry_run(pipeline, [Declared(collected.frame.schema)], job.grants)
    assert (dry.stages, dry.passes) == (1, 5)


def test_a_run_executes_few_plans_and_writes_its_rows_once(
    source: Path, tmp_path: Path, executed: collections.Counter[str]
) -> None:
    before = written_bytes()
    stages = run(source, tmp_path)
    result = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert [stage.place for stage in stages] == ["memory"]
    assert written_bytes() - before < result * 1.1
    assert executed["sink_batches"] == 1  # one pass over the source for all rows
    assert executed["sink_parquet"] == 1
    assert executed["collect"] <= 45


def test_without_memory_the_rows_are_written_twice_and_not_more(
    source: Path, tmp_path: Path, executed: collections.Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "limit", RESERVE)
    before = written_bytes()
    stages = run(source, tmp_path)
    result = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert [stage.place for stage in stages] == ["file"]
    assert written_bytes() - before < (result + stages[0].bytes) * 1.1
    assert executed["sink_batches"] == 1
    assert executed["collect"] <= 45
