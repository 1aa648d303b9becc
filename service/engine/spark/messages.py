"""Messages between the driver, which has the frames, and the executors, which have the rows.

They travel as bytes in the rows of a table: Spark sees no data types of ours.
"""

from __future__ import annotations

import platform
from typing import Any

import msgspec
import polars as pl

import service
from service.engine.loss_tally import Counts, Marks
from service.steps.metric import Metric


def versions() -> dict[str, str]:
    """What driver and executors must have in common: plans are read by what wrote them."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "Polars": pl.__version__, "Penstock": service.__version__}


class Check(msgspec.Struct, frozen=True, tag=True):
    """Execute ``plan``, read the file ``path`` and write the text in it to ``answer``, on storage that all share.

    The sources ``files`` must be there, with these sizes.
    """

    path: str
    answer: str
    plan: bytes
    files: dict[str, int] = {}


class Stage(msgspec.Struct, frozen=True, tag=True):
    """Execute ``plan`` into a Parquet file in ``folder``, and count the lost values of ``tallies``."""

    plan: bytes
    folder: str
    name: str
    tallies: dict[str, dict[str, Marks]] = {}


class Write(msgspec.Struct, frozen=True, tag=True):
    """Execute ``plan`` into a Parquet file in ``folder`` that is a piece of a version's file."""

    plan: bytes
    folder: str
    name: str
    compression: str
    compression_level: int | None
    row_group_size: int


class Count(msgspec.Struct, frozen=True, tag=True):
    """Count the rows of ``plan``."""

    plan: bytes


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Answer metrics of the rows of all ``plans``, one after another; sums depend on no order of additions."""

    plans: list[bytes]
    metrics: list[Metric]


class Divide(msgspec.Struct, frozen=True, tag=True):
    """Execute ``plan`` and divide its rows by their buckets (``exchange``)."""

    plan: bytes


class Call(msgspec.Struct, frozen=True, tag=True):
    """Call the pickled ``function`` with the pickled ``value``."""

    function: bytes
    value: bytes


class Returned(msgspec.Struct, frozen=True, tag=True):
    """The encoded result of a call."""

    value: bytes


Task = Call | Check | Stage | Write | Count | Measure | Divide


class Order(msgspec.Struct, frozen=True):
    """A task, what the executor must be to take it, and the folder of the run, which is gone when the run has ended."""

    versions: dict[str, str]
    folder: str
    task: Task


class Staged(msgspec.Struct, frozen=True, tag=True):
    """The file that a task wrote. ``place`` sorts the files of an operation."""

    path: str
    rows: int
    bytes: int
    place: int = 0
    counts: dict[str, Counts] = {}


class Measured(msgspec.Struct, frozen=True, tag=True):
    """Answers, in tagged JSON."""

    answers: list[tuple[Metric, Any]]


class Counted(msgspec.Struct, frozen=True, tag=True):
    """A number of rows."""

    rows: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """A task without a result has ended."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An error of the data or of the executor, which would only be the same at the next attempt.

    ``kind`` is the name of an exception of Polars, ``data`` for one that is explained, or ``executor``.
    """

    kind: str
    text: str


Result = Returned | Staged | Counted | Measured | Done | Failed

_orders = msgspec.msgpack.Decoder(Order)
_results: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)


def encode(message: Order | Result) -> bytes:
    return msgspec.msgpack.encode(message)


def decode_order(data: bytes) -> Order:
    return _orders.decode(data)


def decode_result(data: bytes) -> Result:
    return _results.decode(data)
