"""Combining: the frames of several collectors made one."""

from __future__ import annotations

from collections.abc import Sequence

from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.steps.frame import Frame


def combined(pipeline: Pipeline, frames: Sequence[Frame]) -> Frame:
    """One frame of those of all collectors, as the pipeline says.

    Raises ``errors.Permanent`` where a source lacks a column to join on.
    """
    labels, frames = pipeline.data, [frames[i] for i in pipeline.data]
    combine, first = pipeline.combine, frames[0]
    if len(frames) == 1:
        return first
    if not isinstance(combine, Join):
        return first.union(frames[1:])
    for index, frame in enumerate(frames):
        for column in combine.on:
            if column not in frame.schema.names():
                hint = errors.did_you_mean(column, frame.schema.names())
                raise errors.Permanent(
                    f"the source {pipeline.label(labels[index])} has no column '{column}' to join on{hint}",
                    step="combine", field="combine.on",
                )  # fmt: skip
    for frame in frames[1:]:
        first = first.join(frame, combine.on, how=combine.type)
    return first
