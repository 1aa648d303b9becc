"""Task: one question that a child answers, with everything needed to answer it in its fields.

These are only messages, so that the API process can send them without loading the engine; ``jobs.tasks.worker`` and the
modules beside it answer them. Unlike a run, a task stores nothing and has no progress; its answer is bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from service.jobs.application import ApplyAnswer, ApplyRequest
from service.jobs.messages import Grants, LogLine
from service.kit import errors
from service.model.version import Column
from service.probing.finding import Probe
from service.values.profile import Profile


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True, tag="profile_page"):
    """Render the profiles of one version as a page; the answer is HTML in UTF-8."""

    pipeline: str
    version: int
    created: str
    profiles: list[Profile]


class Preview(msgspec.Struct, frozen=True, kw_only=True, tag="preview"):
    """Collect at most ``rows`` rows from each source and process them; the answer is a ``Sample`` as JSON.

    ``each_step``: also the rows as collected and after each processor.
    """

    document: dict[str, Any]
    rows: int
    each_step: bool = False


class Before(msgspec.Struct, frozen=True):
    """The newest version, and the columns of those of its collectors that have the same settings, by their places."""

    version: int
    columns: list[Column]
    sources: dict[int, list[Column]]


class Planning(msgspec.Struct, frozen=True, kw_only=True, tag="planning"):
    """Tell what a run of ``document`` would do; the answer is a ``Plan`` as JSON.

    A run may use ``run_memory_bytes`` (0: unknown).
    """

    document: dict[str, Any]
    before: Before | None = None
    run_memory_bytes: int = 0


class Validation(msgspec.Struct, frozen=True, kw_only=True, tag="validation"):
    """A dry run of ``document`` over the columns that are known from its settings and stored versions.

    The answer is a JSON array of warnings. Fails with the error that a run is certain to end with.
    """

    document: dict[str, Any]


class Probing(msgspec.Struct, frozen=True, kw_only=True, tag="probing"):
    """Look at a source; the answer is a ``Finding`` as JSON, without any secret in it."""

    probe: Probe


class Application(msgspec.Struct, frozen=True, kw_only=True, tag="application"):
    """Apply a version to records; the answer is an ``ApplyAnswer``, encoded.

    ``document`` is the revision that made the version, ``fit_record`` the path of its fit record.
    """

    document: dict[str, Any]
    version: int
    fit_record: str
    request: ApplyRequest


class ComparedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to compare: its number, its profiles, and the paths of the parts that only it has."""

    version: int
    parts: tuple[str, ...]
    profiles: list[Profile] = []


class Comparing(msgspec.Struct, frozen=True, kw_only=True, tag="comparing"):
    """Compare two versions; the answer is a ``VersionDiff`` as JSON with at most ``limit`` rows of each kind.

    ``shared`` are the paths of the parts that both versions have. ``unique``: no two rows of a version have one key.
    """

    pipeline: str
    before: ComparedVersion
    after: ComparedVersion
    shared: tuple[str, ...]
    key: tuple[str, ...]
    unique: bool
    limit: int

    @property
    def paths(self) -> tuple[str, ...]:
        """All files that are read."""
        return (*self.before.parts, *self.after.parts, *self.shared)


class Tracing(msgspec.Struct, frozen=True, kw_only=True, tag="tracing"):
    """Trace the columns that ``document`` makes to those of its sources; the answer is ``TracedColumns`` as JSON.

    ``sources`` are the columns of each collector, with types by the names that configurations use.
    """

    document: dict[str, Any]
    sources: list[list[Column]]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to a hook. ``secret`` signs ``body``; ``at`` is the Unix time of the signature, in seconds."""

    id: str
    url: str
    secret: str | None
    body: str
    at: int


class Notification(msgspec.Struct, frozen=True, kw_only=True, tag="notification"):
    """Send messages to hooks; the answer is ``{id: error}`` as JSON, with null for those that were accepted."""

    messages: list[Message]


class LineageDelivery(msgspec.Struct, frozen=True, kw_only=True, tag="lineage_delivery"):
    """Send events, in order, to the OpenLineage service at ``url``; the answer is ``Delivered`` as JSON."""

    url: str
    api_key: str | None
    events: list[str]


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of events: the first ``done`` were accepted or refused, and those after them were not sent.

    ``refused`` has the errors of refused ones by their places; ``error`` is why the next one could not be sent now,
    null if none failed.
    """

    done: int
    refused: dict[int, str] = {}
    error: str | None = None


Task = (
    ProfilePage | Preview | Planning | Validation | Probing | Application | Comparing | Tracing | Notification
    | LineageDelivery
)  # fmt: skip


class Call(msgspec.Struct, frozen=True):
    """A task and what it may use."""

    grants: Grants
    task: Task


class TaskAnswer(msgspec.Struct, frozen=True, tag=True):
    """The answer of a task."""

    content: bytes


class TaskError(msgspec.Struct, frozen=True, tag=True):
    """The error with which a task ended. ``free``: the worker waits for another request (``jobs.apply_worker``)."""

    error: errors.Body
    free: bool = False


class AtStep(msgspec.Struct, frozen=True, tag=True):
    """The step that a task works at now."""

    step: str


TaskMessage = AtStep | TaskAnswer | ApplyAnswer | TaskError | LogLine

encode = msgspec.msgpack.Encoder().encode
_calls = msgspec.msgpack.Decoder(Call)
_messages: msgspec.msgpack.Decoder[TaskMessage] = msgspec.msgpack.Decoder(TaskMessage)


def decode(data: bytes) -> TaskMessage:
    """What a child sent."""
    return _messages.decode(data)


def decode_call(data: bytes) -> Call:
    """What a child was started with."""
    return _calls.decode(data)


def log(line: LogLine) -> None:
    """Write a child's log line into the log of this process."""
    fields = {k: v for k, v in line.fields.items() if k not in ("level", "event")}
    level = str(line.fields.get("level", "info"))
    getattr(structlog.get_logger("penstock.task"), level)(str(line.fields.get("event", "")), **fields)
