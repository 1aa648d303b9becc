"""Cluster: the session with a Spark Connect server, and how tasks and exchanges are executed there.

The session has the run's id, so that whoever supervises the run can interrupt what a dead worker left behind: Spark
would go on with it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.parse
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyarrow.lib as pa

from service.engine.spark import exchange, executor, messages
from service.engine.spark.messages import Check, Divide, Failed, Order, Result, Task
from service.kit import errors

SETTING = "PENSTOCK_SPARK_URL"
_PORT, _PATIENCE = 15_002, 10.0
_RESULTS = "number long, result binary"
_GONE = ("No module named 'service'", "No module named 'polars'")

R = TypeVar("R")


def _unheard(_: Sequence[Any]) -> None:
    return None


class Cluster:
    """The executors behind ``url`` (``sc://host:port``), which share the folder of the run with this process.

    What they execute carries the tag ``run``.
    """

    def __init__(self, url: str, run: str, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._session = _session(url, run)
        self._session.addTag(run)

    def check(self) -> None:
        """Raise ``errors.Permanent`` if executors lack what they need, or do not share the folder of the run."""
        asked, answer = self._folder / "spark.asked", self._folder / "spark.answer"
        asked.write_text(self._run)
        try:
            self.perform([Check(str(asked), str(answer))], messages.Done)
            shared = answer.is_file() and answer.read_text() == self._run
        finally:
            asked.unlink()
            answer.unlink(missing_ok=True)
        if not shared:
            raise errors.Permanent(f"the executors behind {SETTING} do not share this folder with us: {self._folder}")

    def perform(self, tasks: Sequence[Task], kind: type[R], done: Callable[[Sequence[R]], None] = _unheard) -> list[R]:
        """Execute the tasks side by side. Their results are in the order of the tasks, and all of this ``kind``.

        ``done`` gets the results so far each time that more come.
        """
        if not tasks:
            return []
        found = self._results(self._table(tasks).mapInArrow(executor.perform, _RESULTS), kind, done)
        return [found[number] for number in range(len(tasks))]

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
        with contextlib.suppress(Exception):  # the run has ended, however this does
            self._session.stop()

    def _table(self, tasks: Sequence[Task]) -> Any:
        numbers = pa.array(range(len(tasks)), pa.int64())
        orders = [messages.encode(Order(messages.versions(), str(self._folder), task)) for task in tasks]
        table = pa.table({"number": numbers, "task": pa.array(orders, pa.binary())})
        return self._session.createDataFrame(table).repartition(max(1, len(tasks)), "number")

    def _results(self, frame: Any, kind: type[R], done: Callable[[Sequence[R]], None]) -> dict[int, R]:
        found: dict[int, R] = {}
        with _translated():
            for number, data in frame.toLocalIterator():  # as they come
                result: Result = messages.decode_result(bytes(data))
                if isinstance(result, Failed):
                    raise _error(result)
                assert isinstance(result, kind)
                found[number] = result
                done(list(found.values()))
        return found


def _session(url: str, run: str) -> Any:
    """A session with the id of the run. Raises ``errors.Permanent`` without pyspark, ``Transient`` without a server."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__file__"):  # in a child of the forkserver, where pyspark believes to be in a doctest
        main.__file__ = __file__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own use of pandas, and of grpc
            from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise errors.Permanent(f"{error.name} is missing; install penstock[spark]") from error
    _reach(url)
    with _translated():
        session = SparkSession.builder.remote(f"{url.rstrip('/')}/;session_id={session_id(run)}").create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


def _reach(url: str) -> None:
    """Raise ``errors.Transient`` if nobody listens there: the client would try for ten minutes."""
    address = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or _PORT), _PATIENCE).close()
    except OSError as error:
        raise errors.Transient(f"no Spark server answers at {address.netloc} ({SETTING}): {error}") from error


def session_id(run: str) -> str:
    """The id of the run's session: Spark wants a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"penstock:{run}"))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors of the client: of the executors' Python, of the server, or of the way there."""
    try:
        yield
    except (errors.PenstockError, pl.exceptions.PolarsError, ValueError):  # of data
        raise
    except Exception as error:
        text = str(error)
        if any(missing in text for missing in _GONE):
            raise errors.Permanent(f"the executors behind {SETTING} do not have this Penstock installed") from error
        if "PicklingError" in type(error).__name__:
            text = f"a function of this step cannot be sent to the executors ({error}); use the engine polars"
            raise errors.Permanent(text) from error
        line = text.strip().splitlines()[0][:300] if text.strip() else type(error).__name__
        raise errors.Transient(f"the Spark server ({SETTING}) failed: {line}") from error


def _error(failed: Failed) -> Exception:
    if failed.kind == "executor":
        return errors.Permanent(f"{SETTING}: {failed.text}")
    kind: Callable[[str], Exception] | None = getattr(pl.exceptions, failed.kind, None)
    return kind(failed.text) if kind is not None else ValueError(failed.text)
