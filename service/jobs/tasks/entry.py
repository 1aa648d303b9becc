"""Entry: runs a task in a child. A task is one question, with everything needed to answer it in its fields.

Unlike a run, a task stores nothing and has no progress; its answer is bytes. Each kind has a module here.
"""

from __future__ import annotations

import msgspec
import structlog

from service.jobs import child_log, memory
from service.jobs.job import Job
from service.jobs.messages import Grants, LogLine
from service.jobs.tasks.apply import Application
from service.jobs.tasks.plan import Planning, Validation
from service.jobs.tasks.preview import Preview
from service.jobs.tasks.probe import Probing
from service.jobs.tasks.profile_page import ProfilePage
from service.kit import errors
from service.processes.channel import Channel
from service.values import polars_errors

Task = ProfilePage | Preview | Planning | Validation | Probing | Application
"""Every kind; each has ``answer(job) -> bytes``."""


class Call(msgspec.Struct, frozen=True):
    """A task and what it may use."""

    grants: Grants
    task: Task


class TaskAnswer(msgspec.Struct, frozen=True, tag=True):
    """The answer of a task."""

    content: bytes


class TaskError(msgspec.Struct, frozen=True, tag=True):
    """The error with which a task ended."""

    error: errors.Body


TaskMessage = TaskAnswer | TaskError | LogLine

encode = msgspec.msgpack.Encoder().encode
_calls = msgspec.msgpack.Decoder(Call)
_messages: msgspec.msgpack.Decoder[TaskMessage] = msgspec.msgpack.Decoder(TaskMessage)


def decode(data: bytes) -> TaskMessage:
    """What a child sent."""
    return _messages.decode(data)


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    call = _calls.decode(order)
    wanted_rows = call.task.rows if isinstance(call.task, Preview) else None
    log = child_log.logger(lambda fields: channel.send(encode(LogLine(job.hidden(fields)))))
    job = Job(call.grants, log, wanted_rows=wanted_rows)
    channel.send(encode(_answer(call, job)))


def _answer(call: Call, job: Job) -> TaskAnswer | TaskError:
    try:
        return TaskAnswer(call.task.answer(job))
    except errors.PenstockError as error:
        return TaskError(job.body(error))
    except MemoryError:
        return TaskError(job.body(memory.exhausted(call.grants.memory_bytes)))
    except BaseException as error:  # a panic inside Polars is not an Exception
        job.log.error("errand.bug", exc_info=True)
        return TaskError(job.body(polars_errors.translate(error, job.step)))


def note(line: LogLine) -> None:
    """Write a child's log line into the log of this process."""
    fields = {k: v for k, v in line.fields.items() if k not in ("level", "event")}
    level = str(line.fields.get("level", "info"))
    getattr(structlog.get_logger("penstock.errand"), level)(str(line.fields.get("event", "")), **fields)
