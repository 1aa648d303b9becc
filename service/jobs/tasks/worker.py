"""The worker that answers a task in a child process."""

from __future__ import annotations

from service.jobs import child_log, memory
from service.jobs.job import Job
from service.jobs.messages import LogLine
from service.jobs.tasks import apply, diff, lineage, notify, openlineage, plan, preview, probe, profile_page
from service.jobs.tasks.task import (
    Application,
    AtStep,
    Call,
    Comparing,
    LineageDelivery,
    Notification,
    Planning,
    Preview,
    Probing,
    ProfilePage,
    Task,
    TaskAnswer,
    TaskError,
    Tracing,
    Validation,
    decode_call,
    encode,
)
from service.kit import errors
from service.processes.channel import Channel
from service.values import polars_errors


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    call = decode_call(order)
    wanted_rows = call.task.rows if isinstance(call.task, Preview) else None
    log = child_log.logger(lambda fields: channel.send(encode(LogLine(job.hidden(fields)))))
    job = Job(call.grants, log, lambda at: channel.send(encode(AtStep(at.step))), wanted_rows=wanted_rows)
    channel.send(encode(_answer(call, job)))


def _answer(call: Call, job: Job) -> TaskAnswer | TaskError:
    try:
        return TaskAnswer(answer(call.task, job))
    except errors.PenstockError as error:
        return TaskError(job.body(error))
    except MemoryError as error:
        return TaskError(job.body(memory.exhausted(call.grants.memory_bytes, "request", error)))
    except BaseException as error:  # a panic inside Polars is not an Exception
        job.log.error("task.bug", exc_info=True)
        return TaskError(job.body(polars_errors.translate(error, job.step)))


def answer(task: Task, job: Job) -> bytes:
    """The answer to a task; ``job.wanted_rows`` must be those of a preview. Raises ``errors.PenstockError``."""
    match task:
        case ProfilePage():
            return profile_page.page(task)
        case Preview():
            return preview.preview(task, job)
        case Planning():
            return plan.Planner(task, job).plan()
        case Validation():
            return plan.validate(task, job)
        case Probing():
            return probe.probe(task, job)
        case Application():
            return apply.apply(task, job)
        case Tracing():
            return lineage.trace(task, job)
        case Comparing():
            return diff.diff(task, job)
        case Notification():
            return notify.send(task, job)
        case LineageDelivery():
            return openlineage.send(task, job)
