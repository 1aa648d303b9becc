"""Report: what one step found, as values. A context builds it; nobody else changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.values.profile import Profile

Evidence = dict[str, Any]
"""What shows that a collector fetched everything; an open JSON object, as every collector has other facts."""


class StepWarning(msgspec.Struct, frozen=True):
    """Something that a person should know and that does not stop the run. ``details`` are JSON-able."""

    step: str
    code: str
    message: str
    details: dict[str, Any] = {}


class FittedStep(msgspec.Struct, frozen=True):
    """What a processor of this ``type`` learnt from the data: its parameters by name, JSON-able."""

    type: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Rejected:
    """The number of rows that ``step`` took out of the data, and the Parquet file that keeps them, if one does."""

    rows: int
    file: str | None = None
    step: str = ""


@dataclass(frozen=True)
class Split:
    """A column that names each row's part, and the part that later steps fit their numbers to."""

    column: str
    training: str


@dataclass(frozen=True)
class StepReport:
    """What every step may report."""

    warnings: tuple[StepWarning, ...] = ()
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class CollectReport(StepReport):
    """The report of a collector. ``kept_state`` names the files of its earlier state that the new version keeps."""

    rows: int = 0
    evidence: Evidence = field(default_factory=dict)
    blank_columns: frozenset[str] = frozenset()
    kept_state: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessReport(StepReport):
    """The report of a processor. ``dynamic_columns`` are settings whose columns depend on the rows."""

    fitted: Mapping[str, Any] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    splits: tuple[Split, ...] = ()
    dynamic_columns: tuple[str, ...] = ()
    rows_in: int | None = None
    rows_out: int | None = None
