"""What the reference job costs, counted and not timed: passes, stages, queries of the engine, bytes written."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from benchmarks import orders
from service.engine.memory import RESERVE, Memory
from service.jobs import child_log, collect, dry_run, plugins, process, run_worker, store, whole_profile
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.jobs.tasks.plan import Planner
from service.jobs.tasks.task import Planning
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
    grants = Grants(folder=str(folder), file_roots=(str(source.parent),), memory_bytes=0)
    return pipelines.decode(document, plugins.registry()), job_in(grants)


def job_in(grants: Grants) -> Job:
    return Job(grants, child_log.logger(_ignore))


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
    assert executed["collect"] <= 50  # repeated keys are searched by their hashes


def test_rows_that_would_be_written_only_for_a_last_profile_are_profiled_as_they_are_stored(
    source: Path, tmp_path: Path, executed: collections.Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile_of(folder: Path) -> tuple[frozenset[int], dict[str, Any]]:
        folder.mkdir()
        pipeline, job = job_of(source, folder)
        cleaner = msgspec.structs.replace(pipeline.processors[0], drop_duplicates=False)
        pipeline = msgspec.structs.replace(pipeline, processors=(cleaner, pipeline.processors[2]))
        outcome = run_worker._collect_and_process(pipeline, job, continues=False)
        written = store.store(pipeline, outcome.frame, job)
        profiles, record = outcome.profiles, outcome.fit_record
        if outcome.postponed:
            paths = [folder / file.name for file in written.files]
            profiles, record = whole_profile.profiles_of(pipeline, outcome.postponed, paths, record, job)
        assert set(record.steps) == {"processors[0]", "processors[1]"}
        return outcome.postponed, msgspec.to_builtins(profiles[0])

    at_once, wanted = profile_of(tmp_path / "memory")
    monkeypatch.setattr(Memory, "limit", RESERVE)
    executed.clear()
    postponed, profile = profile_of(tmp_path / "stored")
    assert (set(at_once), set(postponed)) == (set(), {1})
    assert (executed["sink_batches"], executed["sink_parquet"]) == (0, 1)
    assert [column["name"] for column in profile["columns"]] == [column["name"] for column in wanted["columns"]]
    for column, same in zip(profile["columns"], wanted["columns"], strict=True):
        for name in ("type", "count", "distinct", "missing", "min", "max", "quantiles", "histogram", "top"):
            assert column.get(name) == same.get(name)


SQL = {"type": "sql", "config": {"query": "SELECT * FROM input WHERE n > 5"}}
LOOK = {"type": "analyzer", "config": {}}
MEDIAN = {"type": "cleaner", "config": {"fill_na": {"n": {"strategy": "median"}}}}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    "processors", [[LOOK], [SQL], [MEDIAN, LOOK], [LOOK, SQL, LOOK], [SQL, SQL], [MEDIAN, SQL, MEDIAN]], ids=str
)
def test_a_plan_has_as_many_stages_as_the_run(tmp_path: Path, form: str, processors: list[dict[str, Any]]) -> None:
    source = tmp_path / f"numbers.{form}"
    rows = pl.DataFrame({"n": range(1_000), "text": ["a"] * 1_000})
    (rows.write_csv if form == "csv" else rows.write_parquet)(source)
    document = {"name": "p", "collectors": [{"type": form, "file_path": str(source)}], "processors": processors}
    for name in ("plan", "run"):
        (tmp_path / name).mkdir()
    plan, job = (
        job_in(Grants(folder=str(tmp_path / name), file_roots=(str(tmp_path),), memory_bytes=0))
        for name in ("plan", "run")
    )
    planned = msgspec.json.decode(Planner(Planning(document=document), plan).plan())
    pipeline = pipelines.decode(document, plugins.registry())
    collected = asyncio.run(collect.collect(pipeline, job))
    process.process(pipeline, Processed(collected.frame, dict(collected.rows)), job)
    assert planned["stages"] == sum(len(step.stages) for step in job.journal.steps)
