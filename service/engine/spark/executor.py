"""Executor: what a task does where the rows are. It imports no Spark; its functions are shipped by name.

An error of the data is an answer, since Spark executes a task that raises four times. A file gets a name of its own at
each attempt: two attempts of one task may be at work at once, and only one answer counts.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl
import pyarrow.lib as pa

from service.engine import estimates, far_dates, metrics, steady_sums
from service.engine.loss_tally import Tally
from service.engine.memory import Memory
from service.engine.scratch import Scratch
from service.engine.spark import messages, plans
from service.engine.spark.messages import (
    Call,
    Check,
    Count,
    Counted,
    Failed,
    Measure,
    Order,
    Result,
    Stage,
    Staged,
    Write,
)
from service.kit import errors
from service.values import tagged_json

Batches = Iterator[pa.RecordBatch]
ERRORS = (Exception, pl.exceptions.PanicException)
"""What a task may raise: panics of Polars are outside of ``Exception``."""
_GROUP_ROWS = 122_880
_tallies: dict[str, Tally] = {}
"""Those of the plans that are being executed. Sail executes tasks in threads of one process."""


class RemoteTally:
    """The node of a plan that counts lost values; the tally of its ``key`` is the executor's."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, batch: pl.DataFrame) -> pl.DataFrame:
        tally = _tallies.get(self._key)
        if tally is not None:
            tally.add(batch)
        return batch


def perform(batches: Batches) -> Batches:
    """Execute the tasks of a table (number, order), as ``mapInArrow`` wants it: a table of number and result."""
    for batch in batches:
        for number, order in zip(batch.column("number").to_pylist(), batch.column("task").to_pylist(), strict=True):
            result = messages.encode(_answer(order))
            yield pa.RecordBatch.from_pydict({"number": pa.array([number], pa.int64()), "result": pa.array([result])})


def _answer(data: bytes) -> Result:
    try:
        return _done(accepted(data))
    except ERRORS as error:
        failed = failure(error)
        if failed is None:
            raise
        return failed


class Refused(Exception):
    """Why this executor does not take an order."""


def accepted(data: bytes) -> Order:
    """The order, if it can be executed here. Raises ``Refused``.

    A run that was killed leaves its job to Spark, which goes on with it. The service has removed the folder of the run,
    so that no further task does anything.
    """
    order = messages.decode_order(data)
    mine = messages.versions()
    other = [f"{name} {mine[name]}, not {wanted}" for name, wanted in order.versions.items() if mine[name] != wanted]
    if other:
        raise Refused(f"an executor has {', '.join(other)}; install the same there")
    if not Path(order.folder).is_dir():
        raise Refused(f"an executor does not find {order.folder}: the run has ended, or they do not share this folder")
    return order


def failure(error: BaseException) -> Failed | None:
    """The error as an answer, if the next attempt would have it, too."""
    if isinstance(error, Refused):
        return Failed("executor", str(error))
    if isinstance(error, ModuleNotFoundError) or "ModuleNotFoundError" in str(error):
        if "'cloudpickle'" in str(error):  # Polars wants it for functions in plans, and only then
            text = "the executors do not have the Python module cloudpickle; install penstock[executor] on each host"
            return Failed("executor", text)
        return Failed("executor", f"an executor lacks a plug-in: {str(error).splitlines()[0]}; install it there, too")
    if isinstance(error, errors.Permanent):
        return Failed("data", error.message)
    if isinstance(error, pl.exceptions.PolarsError | pl.exceptions.PanicException):
        return Failed(type(error).__name__, str(error))
    if isinstance(error, ValueError | OverflowError):
        return Failed("ValueError", str(error))
    return None


def _done(order: Order) -> Result:
    match order.task:
        case Call(function, value):
            call, given = pickle.loads(function), pickle.loads(value)  # noqa: S301 as in plans, of a driver that we obey
            return messages.Returned(msgspec.msgpack.encode(call(given)))
        case Check():
            return _check(order.task)
        case Stage():
            return _stage(order.task)
        case Write():
            return _write(order.task)
        case Count(data):
            return Counted(int(plans.decode(data).select(pl.len()).collect(engine="streaming").item()))
        case Measure():
            return _measure(order.task)
        case _:
            raise TypeError("exchanges divide rows")


def _check(task: Check) -> messages.Done:
    plans.decode(task.plan).collect()
    Path(task.answer).write_text(Path(task.path).read_text())
    for name, size in task.files.items():
        path = Path(name)
        if not os.access(path, os.R_OK) or path.stat().st_size != size:
            raise Refused(
                f"an executor cannot read {name} as this service does; the folder must be shared with executors"
            )
    return messages.Done()


def _stage(task: Stage) -> Staged:
    mine = {key: Tally(marks) for key, marks in task.tallies.items()}
    _tallies.update(mine)
    try:
        path = written(plans.decode(task.plan), Path(task.folder), task.name)
    finally:
        for key in mine:
            _tallies.pop(key, None)
    counts = {key: tally.counts for key, tally in mine.items()}
    return Staged(str(path), _height(path), path.stat().st_size, counts=counts)


def _write(task: Write) -> Staged:
    path = Path(task.folder) / f"{task.name}-{uuid.uuid4().hex}.parquet"
    plans.decode(task.plan).sink_parquet(
        path, compression=cast(Any, task.compression), compression_level=task.compression_level,
        row_group_size=task.row_group_size, engine="streaming",
    )  # fmt: skip
    return Staged(str(path), _height(path), path.stat().st_size)


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def written(lf: pl.LazyFrame, folder: Path, name: str) -> Path:
    """Execute into a file with a name of this attempt."""
    path = folder / f"{name}-{uuid.uuid4().hex}.parquet"
    lf.sink_parquet(path, compression="lz4", statistics=False, row_group_size=_GROUP_ROWS, engine="streaming")
    return path


def _measure(task: Measure) -> messages.Measured:
    lf = pl.concat([plans.decode(p) for p in task.plans])
    schema = lf.collect_schema()
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        try:
            answers = estimates.answer(lf, schema, task.metrics, scratch=Scratch(Memory(), Path(folder)))
            answers |= steady_sums.answer(lf, lambda c: metrics.numeric(c, schema[c]), task.metrics, "streaming")
        except far_dates.ERRORS as error:
            far = far_dates.explained(lf, schema)
            if far is None:
                raise
            raise far from error
    return messages.Measured([(metric, tagged_json.encode(value)) for metric, value in answers.items()])
