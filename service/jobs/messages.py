"""Messages: the order of a run worker and what it sends back, encoded with msgpack."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from service.files.allowed_files import ObjectCopy
from service.kit.errors import Body
from service.model.run import Phase, ReplayedRow, Step
from service.model.version import Column, Refusal, Source
from service.steps.report import FittedStep, StepWarning
from service.steps.storage import Earlier, File, Written
from service.telemetry.tracing import Span
from service.values.profile import Profile
from service.values.version_mode import BaseVersion, Layout


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a worker needs. With ``reload`` it only loads deferred forms of a committed version.

    ``trace`` is the traceparent of the run if its spans are recorded.
    """

    run_id: str
    pipeline_id: str
    document: dict[str, Any]
    revision: int
    version: int
    created: datetime
    grants: Grants
    attempt: int = 1
    trace: str | None = None
    reload: Reload | None = None
    replay: Replay | None = None
    remembered: Remembered | None = None
    base: Base | None = None


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of the pipeline, which a run may continue, or equal.

    ``revision`` is that of the pipeline which made it, ``table`` its name in SQL; ``native`` says whether it has a
    native form. ``alike``: this program wrote it whole by this revision, so that other bytes are other rows.
    """

    version: BaseVersion
    revision: int
    alike: bool = False
    columns: list[Column]
    table: str
    native: bool
    quarantine: list[File] = []


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What a job in a child may use: its own folder, files, hosts, secrets, memory, and stored versions.

    The folders ``closed`` are closed to file roots that contain them. ``stored`` has the versions by the setting that
    names each, such as ``collectors[0].name``; ``copies`` has the objects by their names in settings. ``pace`` is the
    folder where all jobs share the pace of their requests, by host (``network.pacing``). ``spark_url`` is the cluster,
    if there is one.
    """

    folder: str
    memory_bytes: int
    pace: str | None = None
    file_roots: tuple[str, ...] = ()
    copies: dict[str, tuple[ObjectCopy, ...]] = {}
    closed: tuple[str, ...] = ()
    allowed_private_hosts: tuple[str, ...] = ()
    secrets: dict[str, str] = {}
    stored: dict[str, StoredParts] = {}
    spark_url: str | None = None


class StoredParts(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a step reads."""

    pipeline: str
    version: int
    parts: tuple[str, ...]
    rows: int


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """A committed version whose deferred forms are missing: its folder, Parquet parts and rows.

    ``earlier`` is the native file of the version before, if the next one can be made from it.
    """

    folder: str
    parts: tuple[str, ...]
    rows: int
    earlier: Earlier | None = None


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The state of collectors: the files under ``state/`` of the newest version, whose folder is ``folder``."""

    folder: str
    files: list[File]


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that steps rejected and kept: files, reasons, and the columns of all as one table."""

    files: list[File]
    refusals: list[Refusal]
    columns: list[Column]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Quarantined rows to try again, and the version to which the rows that pass are added.

    ``files`` are the quarantine of ``version``, ``before`` the processors that rejected them; ``carried`` is the
    quarantine of ``base`` if that is another version, and stays as it is. ``base_before`` are the processors that made
    ``base``, ``fitted`` the parameters recorded with it, ``fit_record`` the path of its fit record. ``origin`` is the
    version before the run that quarantined the oldest of the rows; None if there was none, or it was deleted.
    ``rows`` are the rows that are tried; without any, all are.
    """

    version: int
    files: tuple[str, ...]
    before: list[Any]
    base: StoredParts
    fitted: dict[str, FittedStep]
    base_before: list[Any]
    fit_record: str | None = None
    carried: tuple[str, ...] = ()
    origin: StoredParts | None = None
    rows: tuple[ReplayedRow, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far the run is: its phase and step, rows collected up to now, and the steps whose counters have changed."""

    phase: Phase
    step: str
    rows_collected: int
    steps: list[Step]


class LogLine(msgspec.Struct, frozen=True, tag=True):
    """A log line of a child: its level, event and other fields."""

    fields: dict[str, Any]


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The version is in the staging folder, flushed and counted; the worker is done.

    ``state`` are the files of collectors' state; those that ``stays`` names are still with the version before.
    ``links`` are the files that are linked from where they are, by name. ``unchanged`` is the number of the newest
    version if the run made the same one. ``deferred`` are the types of storages with a native form; it is in the folder
    already if ``loaded`` has it.
    """

    rows: int
    rows_collected: int
    files: list[File]
    links: dict[str, str] = {}
    layout: Layout = Layout()
    unchanged: int | None = None
    quarantine: Quarantine
    fit_record: File
    state: list[File]
    stays: list[str]
    rows_rejected: int
    columns: list[Column]
    sources: list[Source]
    steps: list[Step]
    warnings: list[StepWarning]
    profiles: list[Profile]
    fitted: dict[str, FittedStep]
    deferred: list[str]
    loaded: list[Loaded] = []
    peak_memory_bytes: int


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """A deferred form is in place since ``ended``. ``duration`` is in seconds."""

    written: Written
    step: str
    duration: float
    peak_memory_bytes: int
    ended: datetime

    @property
    def record(self) -> Step:
        """The step of the run that loaded it."""
        return Step(
            step=self.step, phase="storing", fraction=1.0, duration=self.duration, rows_out=self.written.rows,
            started=self.ended - timedelta(seconds=self.duration), ended=self.ended,
        )  # fmt: skip


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The run, or the loading of a deferred form, failed."""

    error: Body
    steps: list[Step]
    warnings: list[StepWarning]
    rows_collected: int
    peak_memory_bytes: int


class Spans(msgspec.Struct, frozen=True, tag=True):
    """What a child did, for the trace of its run."""

    spans: list[Span]


WorkerMessage = Progress | LogLine | Prepared | Loaded | Failed | Spans

encode = msgspec.msgpack.Encoder().encode
_messages: msgspec.msgpack.Decoder[WorkerMessage] = msgspec.msgpack.Decoder(WorkerMessage)
_orders = msgspec.msgpack.Decoder(Order)


def decode(data: bytes) -> WorkerMessage:
    """What a worker sent."""
    return _messages.decode(data)


def decode_order(data: bytes) -> Order:
    """What a worker was started with."""
    return _orders.decode(data)
