"""Versions on disk and a task runner with real workers that applies them, without the rest of the service."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import polars as pl

from service.catalog.history import History
from service.engine import fit_record
from service.files.layout import FIT_RECORD, Layout
from service.jobs.application import ApplyAnswer, ApplyRequest, RecordFormat
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.version import Version
from service.processes import forkserver, preloaded
from service.query.integrity import Integrity
from service.runs.apply_pool import ApplyWorker
from service.runs.job_resources import JobResources
from service.runs.task_runner import TaskRunner
from service.steps.storage import File
from tests.registry import REGISTRY, pipeline_document
from tests.unit.jobs.walking import made

T = TypeVar("T")
SECONDS = 30.0


class Applying:
    """A task runner, and the versions that were ``stored`` for it."""

    def __init__(self, root: Path, most: int) -> None:
        self.layout = Layout(root)
        self.layout.create()
        integrity = Integrity(self.layout)
        history = cast(History, None)
        resources = JobResources(Settings(), self.layout, history, REGISTRY, FixedClock(), {}, integrity)
        self.runner = TaskRunner(resources, most=most, most_long=1, patience=10.0)
        self.documents: dict[str, dict[str, Any]] = {}

    def store(self, name: str, source: pl.DataFrame, *processors: dict[str, Any]) -> Version:
        """Version 1 of a pipeline over ``source``; only its fit record is on disk."""
        version = made(source, *processors)
        content = fit_record.encode(version.fit_record)
        folder = self.layout.version(name, 1)
        folder.mkdir(parents=True)
        (folder / FIT_RECORD).write_bytes(content)
        self.documents[name] = pipeline_document(name=name, processors=list(processors))
        return Version(
            pipeline=name, version=1, run_id=f"run_{name}", revision=1, table=name, rows=0, bytes=0, columns=[],
            files=[], sources=[], created=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            fit_record=File(FIT_RECORD, len(content), 0, hashlib.sha256(content).hexdigest()),
        )  # fmt: skip

    async def apply(
        self, version: Version, records: Any, *, given: RecordFormat = "json", wanted: RecordFormat = "json",
        index: str | None = None, seconds: float = SECONDS,
    ) -> ApplyAnswer:  # fmt: skip
        async def document() -> dict[str, Any]:
            return self.documents[version.pipeline]

        content = records if isinstance(records, bytes) else msgspec.json.encode(records)
        request = ApplyRequest(records=content, given=given, wanted=wanted, index=index)
        return await self.runner.apply(version, document, request, seconds=seconds)

    async def rows(self, version: Version, records: Any, **options: Any) -> list[dict[str, Any]]:
        """The rows that a version makes of records."""
        answer = await self.apply(version, records, **options)
        found: list[dict[str, Any]] = msgspec.json.decode(answer.content)["data"]
        return found

    @property
    def kept(self) -> list[ApplyWorker]:
        """The workers that wait, those that wait longest first."""
        return self.runner._appliers._idle

    @property
    def folders(self) -> set[Path]:
        """The private folders of workers and tasks."""
        return set(self.layout.staging_root.glob("task_*"))


def run(root: Path, act: Callable[[Applying], Awaitable[T]], most: int = 3) -> T:
    """What ``act`` answers over a data directory; all workers have ended then and left no folder."""
    forkserver.prepare(preloaded.MODULES)

    async def bounded() -> T:
        applying = Applying(root, most)
        try:
            async with asyncio.timeout(60):
                return await act(applying)
        finally:
            await applying.runner.close()
            assert applying.folders == set()

    return asyncio.run(bounded())
