"""What a run worker is told and what it says: values over the channel, encoded with msgpack."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from service.kit.errors import Body
from service.model.run import Phase, Step
from service.model.version import Column, Refusal, Source
from service.steps.storage import File, Written


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a worker needs; it reads nothing else. ``parts`` set: only load deferred forms again."""

    run_id: str
    pipeline_id: str
    document: dict[str, Any]
    revision: int
    version: int
    created: datetime
    grants: Grants
    reload: Reload | None = None
    replay: Replay | None = None
    remembered: Remembered | None = None


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What a job in a child may use: its own folder, files, hosts, secrets, memory, and stored versions.

    ``stored`` has them by the setting that names each, such as ``collectors[0].name``. ``pace`` is the folder where
    all jobs keep the pace towards hosts that they ask (``network.pacing``).
    """

    folder: str
    memory_bytes: int
    pace: str | None = None
    file_roots: tuple[str, ...] = ()
    allowed_private_hosts: tuple[str, ...] = ()
    secrets: dict[str, str] = {}
    stored: dict[str, StoredParts] = {}


class StoredParts(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a step reads."""

    pipeline: str
    version: int
    parts: tuple[str, ...]
    rows: int


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """A committed version whose deferred forms are missing: its folder, Parquet parts and rows."""

    folder: str
    parts: tuple[str, ...]
    rows: int


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What collectors left with the newest version, which lies in ``folder``: files of ``state/``."""

    folder: str
    files: list[File]


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """What steps refused and kept: the files, why, and what they look like as one table."""

    files: list[File]
    refusals: list[Refusal]
    columns: list[Column]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Quarantined rows that are to be tried again, and the version that those that pass are added to.

    ``files`` are the quarantine of ``version``, ``before`` the processors that refused them; ``carried`` is the
    quarantine of ``base`` where that is another version, which stays as it is. ``base_before`` are the processors
    that made ``base``, ``fitted`` the parameters recorded with it, ``tape`` what they were answered.
    """

    version: int
    files: tuple[str, ...]
    before: list[Any]
    base: StoredParts
    fitted: dict[str, Any]
    base_before: list[Any]
    tape: str | None = None
    carried: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag=True):
    phase: Phase
    step: str
    progress: float
    rows_collected: int


class Line(msgspec.Struct, frozen=True, tag=True):
    """A log line of the worker."""

    fields: dict[str, Any]


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The version lies in staging, flushed and counted; the worker is done.

    ``state`` is what collectors remember; those of its files that ``stays`` names lie with the version before.
    """

    rows: int
    rows_collected: int
    files: list[File]
    quarantine: Quarantine
    tape: File
    state: list[File]
    stays: list[str]
    rows_rejected: int
    columns: list[Column]
    sources: list[Source]
    steps: list[Step]
    warnings: list[dict[str, Any]]
    profiles: list[dict[str, Any]]
    fitted: dict[str, Any]
    deferred: list[str]
    peak_memory_bytes: int


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """A deferred form is in place."""

    written: Written
    step: str
    duration: float
    peak_memory_bytes: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The run, or the loading of a deferred form, cannot go on."""

    error: Body
    steps: list[Step]
    warnings: list[dict[str, Any]]
    rows_collected: int
    peak_memory_bytes: int


Said = Progress | Line | Prepared | Loaded | Failed

encode = msgspec.msgpack.Encoder().encode
_said: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)
_order = msgspec.msgpack.Decoder(Order)


def said(data: bytes) -> Said:
    return _said.decode(data)


def order(data: bytes) -> Order:
    return _order.decode(data)
