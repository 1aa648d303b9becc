"""Previews and plans of a pipeline, as the API shows them: a sample of its rows, or what a run would do."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from service.kit.errors import Problem
from service.model.engines import Chosen
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


class StepRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows after one step; ``step`` is ``collectors`` for the rows of all sources together. ``total_rows`` remained."""

    step: str
    columns: list[SampleColumn]
    data: list[dict[str, Any]]
    row_count: int
    truncated: bool
    total_rows: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The result for the first rows of each source. ``total_rows`` remained, ``row_count`` of them are in ``data``.

    ``plan`` is the optimised Polars plan, one text for each pass over the rows. ``after_steps`` are the rows as
    collected and after each processor, in order; empty unless asked for with ``each_step``.
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
    after_steps: list[StepRows] = []


class PlannedColumn(msgspec.Struct, frozen=True):
    """A column; ``type`` is its name in configurations, null if only the rows can show it."""

    name: str
    type: str | None


class PlannedSource(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one collector and the columns that it would return.

    ``known`` is the origin of ``columns``: read from the source, all named by the settings, taken from an earlier
    version of the same collector, some named by the settings (partly), or unknown; then ``why`` gives the reason.
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

    A ``row_local`` step needs only the row itself and fitted values; ``operations`` are those over all rows, in order;
    ``measured`` means that it first measures all rows. ``fitted`` names the settings that are fitted and their
    columns. ``input`` and ``output`` are null if they are unknown; then ``why`` gives the reason. ``held_bytes`` is
    about what its fits must hold at once, however much memory there is; null if that is nothing or unknown.
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
    held_bytes: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do. A run with ``problems`` is certain to fail.

    ``known`` is the least certain origin of any source. ``columns`` are the columns that would be stored, ``changes``
    their differences from the newest version (``compared_with``); both are null if unknown. ``plan`` is the optimised
    Polars plan, one text for each pass over the rows; a staged or fetched table is shown as DF. ``passes`` is how often
    rows are read at most (for a stage, for what a step measures, for a query, to be stored), and ``stages`` how often
    they are computed once and kept for later passes; null if the steps are not known. Small memory makes more passes.
    ``memory_limit_bytes`` is what a run may use; ``engine`` would execute it (null if a source is missing).
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
    passes: int | None = None
    stages: int | None = None
    memory_limit_bytes: int | None = None
    engine: Chosen | None = None
