"""Cluster: how the tasks and exchanges of one attempt of a run are executed behind a Spark Connect server."""

from __future__ import annotations

import contextlib
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import polars as pl
import pyarrow.lib as pa

from service.engine.spark import exchange, executor, messages, plans, sessions
from service.engine.spark.messages import Check, Divide, Failed, Order, Result, Task
from service.engine.spark.sessions import SETTING
from service.kit import errors

_CHECKS = 4
"""Tasks that look whether executors share our files: the most of them find a way to several."""
_RESULTS = "number long, result binary"

R = TypeVar("R")


def _unheard(_: Sequence[Any]) -> None:
    return None


class Cluster:
    """The executors behind ``url`` (``sc://host:port``), which share the folder of the run with this process.

    As long as the attempt lasts there is a folder of its own in that one, which each task looks for.
    """

    def __init__(self, url: str, run: str, folder: Path, attempt: int = 1) -> None:
        self._run = f"{run}.{attempt}"
        self._folder = folder / f"attempt-{attempt}"
        self._session = sessions.opened(url, run, attempt)
        self._folder.mkdir()

    def check(self, sources: Sequence[Path] = ()) -> None:
        """Raise ``errors.Permanent`` if executors lack what they need, or do not share the run's folder or sources."""
        asked, answers = self._folder / "spark.asked", [self._folder / f"spark.answer-{n}" for n in range(_CHECKS)]
        files = {str(path): path.stat().st_size for path in sources}
        asked.write_text(self._run)
        try:
            self.perform([Check(str(asked), str(answer), plans.sample(), files) for answer in answers], messages.Done)
            shared = all(answer.is_file() and answer.read_text() == self._run for answer in answers)
        finally:
            for path in (asked, *answers):
                path.unlink(missing_ok=True)
        if not shared:
            raise errors.Permanent(
                f"the executors behind {SETTING} do not share this folder with us: {self._folder.parent}"
            )

    def perform(self, tasks: Sequence[Task], kind: type[R], done: Callable[[Sequence[R]], None] = _unheard) -> list[R]:
        """Execute the tasks side by side. Their results are in the order of the tasks, and all of this ``kind``.

        ``done`` gets the results so far each time that more come.
        """
        if not tasks:
            return []
        found = self._results(self._table(tasks).mapInArrow(executor.perform, _RESULTS), kind, done)
        return [found[number] for number in range(len(tasks))]

    def spread(self, function: Callable[[Any], Any], values: Sequence[Any], kind: Any) -> list[Any]:
        """The results, of the type ``kind``, of a function of ours for each value, which tasks call."""
        tasks = [messages.Call(pickle.dumps(function), pickle.dumps(value)) for value in values]
        return [msgspec.msgpack.decode(found.value, type=kind) for found in self.perform(tasks, messages.Returned)]

    def exchange(
        self,
        plans: Sequence[bytes],
        *steps: exchange.Step,
        done: Callable[[Sequence[messages.Staged]], None] = _unheard,
    ) -> list[messages.Staged]:
        """Divide the rows of all plans by their buckets, and take them through ``steps``; the last one writes files."""
        blocks = self._table([Divide(plan) for plan in plans]).mapInArrow(exchange.divide, exchange.BLOCKS)
        for step in steps[:-1]:
            blocks = blocks.groupBy("bucket").applyInArrow(exchange.passing(step), exchange.BLOCKS)
        found = self._results(
            blocks.groupBy("bucket").applyInArrow(exchange.writing(steps[-1]), _RESULTS), messages.Staged, done
        )
        return sorted(found.values(), key=lambda staged: staged.place)

    def close(self) -> None:
        """End the session; what it executes ends with it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(Exception):  # the run has ended, however this does; its supervisor sees to the rest
            self._session.stop()

    def _table(self, tasks: Sequence[Task]) -> Any:
        numbers = pa.array(range(len(tasks)), pa.int64())
        orders = [messages.encode(Order(messages.versions(), str(self._folder), task)) for task in tasks]
        table = pa.table({"number": numbers, "task": pa.array(orders, pa.binary())})
        return self._session.createDataFrame(table).repartition(max(1, len(tasks)), "number")

    def _results(self, frame: Any, kind: type[R], done: Callable[[Sequence[R]], None]) -> dict[int, R]:
        found: dict[int, R] = {}
        with sessions.translated():
            for number, data in frame.toLocalIterator():  # as they come
                result: Result = messages.decode_result(bytes(data))
                if isinstance(result, Failed):
                    raise _error(result)
                assert isinstance(result, kind)
                found[number] = result
                done(list(found.values()))
        return found


def _error(failed: Failed) -> BaseException:
    if failed.kind == "executor":
        return errors.Permanent(f"{SETTING}: {failed.text}")
    if failed.kind == "data":
        return errors.Permanent(failed.text)
    kind: Callable[[str], BaseException] | None = getattr(pl.exceptions, failed.kind, None)
    return kind(failed.text) if kind is not None else ValueError(failed.text)
