"""Probing: the errand that looks at one source and proposes a collector for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.jobs.job import Job
from service.jobs.plugins import registry
from service.kit import errors
from service.model import pipeline as pipelines
from service.probing.probe import Probe, probe
from service.probing.sources import STEP
from service.steps.collector import Collector


class Probing(msgspec.Struct, frozen=True, kw_only=True, tag="probing"):
    """Look at a source; the answer is a ``Finding`` as JSON, without any secret in it."""

    probe: Probe

    def answer(self, job: Job) -> bytes:
        job.step = STEP
        try:
            with job.translated(STEP):
                found = probe(self.probe, job.context(STEP), decoded)
        except errors.StepError as error:  # the fields are those of the request's body
            if "field" in error.details:
                error.details["field"] = str(error.details["field"]).removeprefix(f"{STEP}.")
            raise
        return msgspec.json.encode(job.hidden(found))


def decoded(proposal: Mapping[str, Any]) -> Collector:
    """The proposal, judged as a part of a pipeline is."""
    return pipelines.decode({"name": "probe", "collectors": [dict(proposal)]}, registry()).collectors[0]
