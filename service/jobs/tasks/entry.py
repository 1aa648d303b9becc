"""Errand: one question that a child answers, with all that it needs to know in its fields.

It is what a run is not: nothing is stored, nobody watches, the answer is bytes. Each kind is a value that knows how
to answer itself, in a module of its own; this one only gets it there.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from service.jobs import child_log, memory
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.tasks.apply import Application
from service.jobs.tasks.plan import Planning, Validation
from service.jobs.tasks.preview import Preview
from service.jobs.tasks.probe import Probing
from service.jobs.tasks.profile_page import ProfilePage
from service.kit import errors
from service.processes.channel import Channel
from service.values import polars_errors

Task = ProfilePage | Preview | Planning | Validation | Probing | Application
"""Every kind; each has ``answer(stage) -> bytes``, which raises what it cannot answer with."""


class Call(msgspec.Struct, frozen=True):
    """An errand and what it may use."""

    grants: Grants
    task: Task


class TaskAnswer(msgspec.Struct, frozen=True, tag=True):
    """The bytes that were asked for."""

    content: bytes


class TaskError(msgspec.Struct, frozen=True, tag=True):
    """Why there is no answer."""

    error: errors.Body


class Line(msgspec.Struct, frozen=True, tag=True):
    """A log line of the child."""

    fields: dict[str, Any]


Said = TaskAnswer | TaskError | Line

encode = msgspec.msgpack.Encoder().encode
_calls = msgspec.msgpack.Decoder(Call)
_said: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)


def said(data: bytes) -> Said:
    return _said.decode(data)


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    call = _calls.decode(order)
    job = Job(call.grants, child_log.logger(lambda fields: channel.send(encode(Line(job.hidden(fields))))))
    channel.send(encode(_answered(call, job)))


def _answered(call: Call, job: Job) -> TaskAnswer | TaskError:
    try:
        return TaskAnswer(call.task.answer(job))
    except errors.PenstockError as error:
        return TaskError(job.body(error))
    except MemoryError:
        return TaskError(job.body(memory.exhausted(call.grants.memory_bytes)))
    except BaseException as error:  # a panic inside Polars is no Exception
        job.log.error("errand.bug", exc_info=True)
        return TaskError(job.body(polars_errors.translate(error, job.step)))


def note(line: Line) -> None:
    """Write a child's line into this process's log."""
    fields = {k: v for k, v in line.fields.items() if k not in ("level", "event")}
    level = str(line.fields.get("level", "info"))
    getattr(structlog.get_logger("penstock.errand"), level)(str(line.fields.get("event", "")), **fields)
