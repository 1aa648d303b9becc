"""A run ends although the catalog cannot be written, and its end is written as soon as that works again."""

from __future__ import annotations

import asyncio
import errno

import pytest

from service.model.run import Run
from service.runs import run_records
from service.runs.run_records import RunRecords

RUN = Run(run_id="run_1", pipeline="p", revision=1, status="failed")


class Full:
    """A history whose disk is full for the first writes."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.written: list[str] = []

    def change_run(self, run: Run, fence: int | None) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written.append(run.run_id)


def test_a_write_that_fails_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_records, "_DELAYS", (0.0,))
    history = Full(3)

    async def act() -> None:
        records = RunRecords(history)  # type: ignore[arg-type]
        await records.write(RUN)
        assert history.written == []
        async with asyncio.timeout(10):
            assert records._task is not None
            await records._task

    asyncio.run(act())
    assert history.written == ["run_1"]


def test_the_last_chance_is_the_end_of_the_service() -> None:
    history = Full(1)

    async def act() -> None:
        records = RunRecords(history)  # type: ignore[arg-type]
        await records.write(RUN)
        await records.close()

    asyncio.run(act())
    assert history.written == ["run_1"]
