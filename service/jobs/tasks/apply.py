"""Apply: a version's compiled steps over the records of a request, and the rows in the format that it wants."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import fit_record
from service.jobs import plugins, record_formats
from service.jobs.application import ApplyAnswer, ApplyRequest
from service.jobs.compiled_steps import CompiledSteps
from service.jobs.job import Job
from service.jobs.record_formats import Encoder
from service.jobs.tasks.task import Application, encode
from service.kit import errors
from service.model import pipeline as pipelines


class Applier:
    """Applies one version to the records of requests; the messages of ``application`` explain the arguments.

    Raises ``errors.PenstockError`` if the version cannot be applied.
    """

    def __init__(self, document: dict[str, Any], version: int, fit_record_path: str, job: Job) -> None:
        pipeline = pipelines.decode(document, plugins.registry())
        self._before = {"pipeline": pipeline.name, "version": version}
        record = fit_record.decode(Path(fit_record_path).read_bytes())
        self._steps = CompiledSteps(pipeline, record, job)
        self._encoder = Encoder(job.folder)

    def warm_up(self) -> None:
        """Send a record of nulls through all, so that the engines have what they need before the first request."""
        blank = pl.DataFrame([pl.Series(n, [None], dtype=t) for n, t in self._steps.source.items()])
        with contextlib.suppress(errors.PenstockError):
            request = ApplyRequest(records=self._encoder.arrow(blank), given="arrow")
            self._steps.apply(record_formats.decode(request, self._steps.source))

    def records(self, request: ApplyRequest) -> pl.DataFrame:
        """The records of a request. Raises ``errors.Invalid`` where it or a record does not fit the version."""
        if request.index is not None:
            record_formats.check_index(request.index, self._steps.schema)
        return record_formats.decode(request, self._steps.source)

    def answer(self, request: ApplyRequest, records: pl.DataFrame) -> ApplyAnswer:
        """The rows that the steps make of the records of a request.

        Raises ``errors.Invalid`` where a step fails on a record, and ``errors.StepError`` for other failures.
        """
        done = self._steps.apply(records)
        rows, places = done.rows.data, done.rows.places
        if request.index is not None:
            rows = rows.select(places.alias(request.index), pl.all())
        match request.wanted:
            case "arrow":
                content = self._encoder.arrow(rows)
            case "ndjson":
                content = self._encoder.ndjson(rows)
            case _:
                after = {"rows": places.to_list(), "dropped": done.dropped, "skipped": self._steps.skipped}
                content = self._encoder.json(rows, self._before, after)
        return ApplyAnswer(content=content, dropped=len(done.dropped))


def apply(task: Application, job: Job) -> bytes:
    """An encoded ``ApplyAnswer``. Raises as ``Applier``."""
    applier = Applier(task.document, task.version, task.fit_record, job)
    return encode(applier.answer(task.request, applier.records(task.request)))
