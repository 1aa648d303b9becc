"""Errand: one question that a child answers, with all that it needs to know in its fields.

It is what a run is not: nothing is stored, nobody watches, the answer is bytes. Each kind is a value that knows how
to answer itself, in a module of its own; this one only gets it there.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from service.jobs import child_log, memory
from service.jobs.job import Stage
from service.jobs.messages import Allowance
from service.jobs.tasks.apply import Application
from service.jobs.tasks.plan import Planning, Validation
from service.jobs.tasks.preview import Preview
from service.jobs.tasks.probe import Probing
from service.jobs.tasks.profile_page import ProfilePage
from service.kit import errors
from service.processes.channel import Channel
from service.values import polars_errors

Errand = ProfilePage | Preview | Planning | Validation | Probing | Application
"""Every kind; each has ``answer(stage) -> bytes``, which raises what it cannot answer with."""


class Call(msgspec.Struct, frozen=True):
    """An errand and what it may use."""

    allowance: Allowance
    errand: Errand


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The bytes that were asked for."""

    content: bytes


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Why there is no answer."""

    error: errors.Body


class Line(msgspec.Struct, frozen=True, tag=True):
    """A log line of the child."""

    fields: dict[str, Any]


Said = Answer | Refusal | Line

encode = msgspec.msgpack.Encoder().encode
_calls = msgspec.msgpack.Decoder(Call)
_said: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)


def said(data: bytes) -> Said:
    return _said.decode(data)


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    call = _calls.decode(order)
    stage = Stage(call.allowance, child_log.logger(lambda fields: channel.send(encode(Line(stage.hidden(fields))))))
    channel.send(encode(_answered(call, stage)))


def _answered(call: Call, stage: Stage) -> Answer | Refusal:
    try:
        return Answer(call.errand.answer(stage))
    except errors.PenstockError as error:
        return Refusal(stage.body(error))
    except MemoryError:
        return Refusal(stage.body(memory.exhausted(call.allowance.memory_bytes)))
    except BaseException as error:  # a panic inside Polars is no Exception
        stage.log.error("errand.bug", exc_info=True)
        return Refusal(stage.body(polars_errors.translate(error, stage.step)))


def note(line: Line) -> None:
    """Write a child's line into this process's log."""
    fields = {k: v for k, v in line.fields.items() if k not in ("level", "event")}
    level = str(line.fields.get("level", "info"))
    getattr(structlog.get_logger("penstock.errand"), level)(str(line.fields.get("event", "")), **fields)
