"""Engines: what executes the data of a pipeline, and what only one of them can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from service.kit.errors import Problem
from service.steps.processor import Processor

Engine = Literal["polars", "spark", "auto"]


class Chosen(msgspec.Struct, frozen=True):
    """The engine of a run, and the reason in words."""

    name: Engine
    reason: str


def problems(processors: Sequence[Processor], written: Any) -> Iterable[Problem]:
    """What Spark cannot do of the ``written`` processors, if all of these could be decoded."""
    if isinstance(written, list) and len(written) == len(processors):
        for index in only_polars(processors):
            kind = type(processors[index]).__struct_config__.tag
            yield Problem(
                f"processors[{index}].type",
                f"'{kind}' needs all rows in one place, which execution.engine: spark does not have; use the engine "
                "polars, or a cleaner and a transformer instead",
            )


def only_polars(processors: Sequence[Processor]) -> list[int]:
    """The places of the processors that only the engine polars can execute."""
    return [index for index, processor in enumerate(processors) if processor.at_once]
