"""Outlook: what a pipeline would do: a sample of its rows, or the plan of a run. Pure values, as the API shows them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from service.kit.errors import Problem
from service.model.run import Step
from service.model.version import SchemaChange, Source
from service.steps.report import StepWarning
from service.values.profile import Profile

Known = Literal["read", "settings", "version", "partly", "unknown"]


class SampleColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a sample: DuckDB's type and Polars' type."""

    name: str
    type: str
    polars_type: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the first rows of each source. ``total_rows`` are left of them, ``row_count`` are in ``data``.

    ``plan`` is the optimised Polars plan, a text for each time that rows are read.
    """

    columns: list[SampleColumn]
    data: list[dict[str, Any]]
    row_count: int
    truncated: bool
    total_rows: int
    rows_collected: int
    rows_rejected: int
    sources: list[Source]
    steps: list[Step]
    profile: Profile
    warnings: list[StepWarning]
    plan: str


class PlannedColumn(msgspec.Struct, frozen=True):
    """A column; ``type`` is the Polars type as text, null where only rows can tell."""

    name: str
    type: str | None


class PlannedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector would fetch and bring.

    ``known`` says where ``columns`` come from: they were read, the settings name them all, an earlier version of the
    same collector had them, the settings name some of them (partly), or they are unknown, and ``why`` says why.
    """

    step: str
    id: str
    type: str
    fetch: dict[str, Any]
    known: Known
    columns: list[PlannedColumn] | None
    rows: int | None = None
    why: str | None = None


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one processor would do.

    ``row_local`` ones need no row but the one at hand (and what was fitted); ``operations`` are those over the whole
    data, in order; ``measured`` says that numbers are asked of all rows before. ``fitted`` names the settings and their
    columns. ``input`` and ``output`` are null where they are not known, and ``why`` says why.
    """

    step: str
    type: str
    row_local: bool | None = None
    measured: bool | None = None
    operations: list[str] = []
    staged: int = 0
    fitted: dict[str, list[str]] = {}
    input: list[PlannedColumn] | None = None
    output: list[PlannedColumn] | None = None
    why: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do. ``problems`` are certain to end it; it can succeed where there are none.

    ``known`` is the least that is known of any source. ``columns`` are what would be stored, ``changes`` how they
    differ from the newest version (``compared_with``); both are null where they are not known. ``plan`` is the
    optimised Polars plan, a text for each time that rows are read; a table that was staged or fetched is DF there.
    """

    configuration: dict[str, Any]
    sources: list[PlannedSource]
    known: Known
    steps: list[PlannedStep]
    columns: list[PlannedColumn] | None
    compared_with: int | None
    changes: list[SchemaChange] | None
    problems: list[Problem]
    warnings: list[StepWarning]
    plan: str | None
