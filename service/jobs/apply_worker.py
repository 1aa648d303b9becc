"""The worker that applies one version to the records of one request after the other, in a child process.

The steps are compiled once and the engines stay warm. What comes with a request (records, rows, files of the engines)
is gone with its answer, and the worker looks whether it is: it ends if a file is left or memory does not come back,
after an error of an engine, and after a number of requests. A request whose records do not fit harms nobody.
"""

from __future__ import annotations

import contextlib
import os

from service.jobs import application, child_log, memory
from service.jobs.application import ApplyRequest, ApplySetup
from service.jobs.job import Job
from service.jobs.messages import LogLine
from service.jobs.tasks.apply import Applier
from service.jobs.tasks.task import TaskError, encode
from service.kit import errors
from service.processes.channel import Channel
from service.query.child.traces import Traces
from service.values import polars_errors


def work(channel: Channel, setup: bytes) -> None:
    """The entry function of the child."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # before its first use: of few rows each thread more costs more
    worker = ApplyWorker(channel, application.decode_setup(setup))
    with contextlib.suppress(OSError):  # the service has ended
        while worker.answers_next():
            pass


class ApplyWorker:
    """Answers the requests of one channel. The version is compiled for the first of them, which gets its errors."""

    def __init__(self, channel: Channel, setup: ApplySetup) -> None:
        self._channel = channel
        self._setup = setup
        log = child_log.logger(lambda fields: channel.send(encode(LogLine(self._job.hidden(fields)))))
        self._job = Job(setup.grants, log)
        self._traces = Traces(None, self._job.folder)
        self._applier: Applier | None = None
        self._answered = 0

    def answers_next(self) -> bool:
        """Answer the next request; whether another one may follow. Raises ``OSError`` if nobody listens."""
        message = self._channel.receive()
        if message is None:
            return False
        try:
            return self._answer(application.decode_request(message))
        except errors.PenstockError as error:
            body = self._job.body(error)
        except BaseException as error:  # a panic inside Polars is not an Exception
            if memory.is_exhausted(error):
                body = self._job.body(memory.exhausted(self._setup.grants.memory_bytes, "request", error))
            else:
                self._job.log.error("apply.bug", exc_info=True)
                body = self._job.body(polars_errors.translate(error, self._job.step))
        self._channel.send(encode(TaskError(body)))
        return False

    def _answer(self, request: ApplyRequest) -> bool:
        setup = self._setup
        if self._applier is None:
            self._applier = Applier(setup.document, setup.version, setup.fit_record, self._job)
            self._applier.warm_up()
            self._traces.begin()
        self._job.step = ""
        try:
            records = self._applier.records(request)
        except errors.Invalid as error:
            del request
            free = self._is_free()
            self._channel.send(encode(TaskError(self._job.body(error), free)))
            return free
        answer = self._applier.answer(request, records)
        del request, records
        free = self._is_free()
        answer.free = free
        self._channel.send(encode(answer))
        return free

    def _is_free(self) -> bool:
        """Whether nothing of the request is left and another one may follow."""
        self._answered += 1
        return self._answered < self._setup.requests and self._traces.are_gone()
