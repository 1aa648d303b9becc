"""Lost values of a job: what frames have counted, as warnings of the run and as parameters of the version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.jobs.job import Job
from service.model.pipeline import Pipeline
from service.model.registry import tag_of
from service.model.version import Source
from service.steps.frame import Frame
from service.steps.report import FittedStep, StepReport, StepWarning
from service.values.losses import LostValues

CODE = "values_lost"


def warn(frame: Frame, job: Job) -> None:
    """Warn of each loss that was counted since the last call. Counting ends when all rows have been computed."""
    earlier = [w.details for w in job.journal.warnings if w.code == CODE]
    known = {(details["step"], details["setting"], details["column"]) for details in earlier}
    warnings = [_warning(loss) for loss in frame.losses if (loss.step, loss.setting, loss.column) not in known]
    for warning in warnings:
        job.log.warning("step.warning", step=warning.step, code=CODE, message=warning.message)
    if warnings:
        job.journal.file(StepReport(warnings=tuple(warnings)))


def _warning(loss: LostValues) -> StepWarning:
    details = {
        **_as_dict(loss),
        "step": loss.step,
        "setting": loss.setting,
        "column": loss.column,
        "rows": loss.rows,
    }
    return StepWarning(loss.step, CODE, loss.message, details)


def with_losses(fitted: Mapping[str, FittedStep], pipeline: Pipeline, frame: Frame) -> dict[str, FittedStep]:
    """``fitted`` with ``lost_values`` among the parameters of the steps that lost some, by setting and column."""
    losses: dict[str, dict[str, Any]] = {}
    for loss in frame.losses:
        losses.setdefault(loss.step, {})[f"{loss.setting}.{loss.column}"] = _as_dict(loss)
    added = dict(fitted)
    for index, processor in enumerate(pipeline.processors):
        step = f"processors[{index}]"
        if step in losses:
            before = added.get(step, FittedStep(tag_of(type(processor)), {}))
            added[step] = FittedStep(before.type, {**before.parameters, "lost_values": losses[step]})
    return added


def in_sources(sources: Sequence[Source], frame: Frame) -> list[Source]:
    """``sources`` with ``lost_values`` in the evidence of the collectors that lost some, by setting and column."""
    losses: dict[str, dict[str, Any]] = {}
    for loss in frame.losses:
        losses.setdefault(loss.step, {})[f"{loss.setting}.{loss.column}"] = _as_dict(loss)
    steps = [(f"collectors[{index}]", source) for index, source in enumerate(sources)]
    return [
        msgspec.structs.replace(source, evidence={**source.evidence, "lost_values": losses[step]})
        if step in losses
        else source
        for step, source in steps
    ]


def _as_dict(loss: LostValues) -> dict[str, Any]:
    return {"count": loss.count, "known": loss.known, "share": loss.share, "samples": loss.samples}
