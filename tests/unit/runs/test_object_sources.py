"""Objects are copied before the process of a job starts, and no longer than somebody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.collectors.csv import CsvCollector
from service.collectors.json import JsonCollector
from service.collectors.parquet import ParquetCollector
from service.files import object_copies
from service.kit.settings import Settings
from service.model import source_files
from service.runs import object_sources

RESOURCES = cast(Any, SimpleNamespace(settings=Settings(file_roots=("s3://bucket/in", "/files"))))


def reading(*names: str) -> Any:
    return SimpleNamespace(collectors=[CsvCollector(file_path=list(names))])


def test_files_alone_need_no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(object_copies, "copied", None)
    assert asyncio.run(object_sources.fetched(RESOURCES, reading("a.csv"), tmp_path)) == {}


def test_samples_of_lines_need_the_beginning_of_an_object() -> None:
    url = "s3://bucket/in/a"
    collectors = [
        CsvCollector(file_path=url), JsonCollector(file_path=url, format="lines"), JsonCollector(file_path=url),
        ParquetCollector(file_path=["local", url]),
    ]  # fmt: skip
    found = source_files.objects(cast(Any, SimpleNamespace(collectors=collectors)))
    assert [(one.step, one.field, one.from_head) for one in found] == [
        ("collectors[0]", "file_path", True), ("collectors[1]", "file_path", True),
        ("collectors[2]", "file_path", False), ("collectors[3]", "file_path[1]", False),
    ]  # fmt: skip


def test_what_nobody_waits_for_is_stopped_before_the_cancellation_is_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began, ended = threading.Event(), threading.Event()

    def copied(named: Any, files: Any, folder: Path, *, go_on: Callable[[], None], **_: Any) -> None:
        assert [one.name for one in named] == ["s3://bucket/in/a.csv"]
        assert files.buckets == ("s3://bucket/in",)
        began.set()
        try:
            while True:
                go_on()
        finally:
            ended.set()

    monkeypatch.setattr(object_copies, "copied", copied)

    async def cancelled() -> None:
        work = asyncio.create_task(object_sources.fetched(RESOURCES, reading("s3://bucket/in/a.csv"), tmp_path))
        await asyncio.to_thread(began.wait)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert ended.is_set()

    asyncio.run(cancelled())
