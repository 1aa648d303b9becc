"""Probe: the task that looks at one source and proposes a collector for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.jobs.job import Job
from service.jobs.plugins import registry
from service.jobs.tasks.task import Probing
from service.kit import errors
from service.model import pipeline as pipelines
from service.probing.probe import probe as look
from service.probing.sources import STEP
from service.steps.collector import Collector


def probe(task: Probing, job: Job) -> bytes:
    """A ``Finding`` as JSON, without any secret in it. Raises ``errors.StepError``."""
    job.step = STEP
    try:
        with job.translated(STEP):
            found = look(task.probe, job.collect_context(STEP), decode)
    except (
        errors.StepError,
        errors.Invalid,
    ) as error:  # there is no pipeline: the fields are those of the request's body
        job.step = ""
        error.details.pop("step", None)
        if "field" in error.details:
            error.details["field"] = str(error.details["field"]).removeprefix(f"{STEP}.")
        raise
    return msgspec.json.encode(job.hidden(found))


def decode(proposal: Mapping[str, Any]) -> Collector:
    """The proposed collector, validated as part of a pipeline. Raises ``errors.Invalid``."""
    return pipelines.decode({"name": "probe", "collectors": [dict(proposal)]}, registry()).collectors[0]
