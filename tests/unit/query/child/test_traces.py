"""What a query leaves: how often DuckDB is asked for its buffers, and that what is left is found in spite of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from service.query.child import traces
from service.query.child.traces import Traces

MIB = 1 << 20


class Buffers:
    """A connection whose buffers have a size that the test sets; it counts who asks."""

    def __init__(self) -> None:
        self.bytes = 0
        self.asked = 0

    def cursor(self) -> Buffers:
        return self

    def close(self) -> None:
        pass

    def execute(self, _: str) -> Buffers:
        self.asked += 1
        return self

    def fetchall(self) -> list[tuple[int]]:
        return [(self.bytes,)]


class Process:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.bytes = 100 * MIB
        self.buffers = Buffers()
        monkeypatch.setattr(traces, "_data_bytes", lambda: self.bytes)
        self.traces = Traces(cast(Any, self.buffers), folder)
        self.traces.begin()
        self.buffers.asked = 0


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Process:
    return Process(monkeypatch, tmp_path)


def test_full_buffers_are_not_asked_for_after_each_query(process: Process) -> None:
    process.bytes, process.buffers.bytes = 300 * MIB, 200 * MIB
    assert all(process.traces.are_gone() for _ in range(60))
    assert process.buffers.asked == 1
    assert all(process.traces.are_gone() for _ in range(60))
    assert process.buffers.asked == 2


def test_memory_in_the_place_of_buffers_is_found_when_the_process_changes(process: Process) -> None:
    process.bytes, process.buffers.bytes = 300 * MIB, 200 * MIB
    assert process.traces.are_gone()
    process.buffers.bytes = 0
    for change in (-10 * MIB, 10 * MIB):
        process.bytes = 300 * MIB + change
        assert not process.traces.are_gone()


def test_memory_in_the_place_of_buffers_is_found_in_the_end(process: Process) -> None:
    process.bytes, process.buffers.bytes = 300 * MIB, 200 * MIB
    assert process.traces.are_gone()
    process.buffers.bytes = 0
    assert not all(process.traces.are_gone() for _ in range(64))
    assert not process.traces.are_gone()
