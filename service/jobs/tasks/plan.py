"""Plan: the tasks that tell what a run would do, and whether it can: a plan, and a validation with columns.

A plan reads local files as far as their columns need (all of a CSV file, as its types depend on every row), processes
their first rows to find values that would be lost, and sends no request; a validation reads stored versions and no
source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.jobs import category_estimate, child_log, collect, dry_run, engine, loss_sample, plugins, store
from service.jobs.category_estimate import Need
from service.jobs.dry_run import DryRun, DryRunStep
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.tasks.task import Planning, Validation
from service.kit import errors
from service.kit.errors import Problem
from service.model import masking, version
from service.model import pipeline as pipelines
from service.model.normalized import resolved
from service.model.pipeline import Pipeline
from service.model.plan import Known, Plan, PlannedColumn, PlannedSource, PlannedStep
from service.model.registry import tag_of
from service.model.version import Column
from service.steps.collector import Declared
from service.steps.frame import Frame
from service.steps.report import StepWarning
from service.values import dtypes

_ORDER: tuple[Known, ...] = ("unknown", "partly", "version", "settings", "read")
_NOT_REQUESTED = "no request is sent before the run; name its columns (and their types under schema), or run it once"


class Planner:
    """Makes the plan of a pipeline."""

    def __init__(self, task: Planning, job: Job) -> None:
        self.document, self.before, self._limit = task.document, task.before, task.run_memory_bytes
        self._job = job

    def plan(self) -> bytes:
        """A ``Plan`` as JSON."""
        job = self._job
        pipeline = pipelines.decode(self.document, plugins.registry())
        looks = [self._look(pipeline, index, job) for index in range(len(pipeline.collectors))]
        problems = [look.problem for look in looks if look.problem is not None]
        known = min((looks[i].source.known for i in pipeline.data), key=_ORDER.index)
        declared = [d for i, look in enumerate(looks) if (d := look.declared or _not_data(pipeline, i)) is not None]
        warnings = job.journal.warnings
        dry: DryRun | None = None
        needs: list[Need] = []
        if len(declared) == len(looks):
            scans, read = [look.scan for look in looks], [look.frame for look in looks]
            dry = dry_run.dry_run(pipeline, declared, job.grants, scans=scans, read=read)
            warnings += dry.ignored
            if dry.error is not None and dry.certain:
                problems.append(_problem(dry.error, job))
            elif dry.error is not None and (dry.likely or known == "version"):
                warnings.append(_warning(dry.error, job))
            frames = [look.frame for look in looks if look.frame is not None]
            if dry.error is None and len(frames) == len(looks):
                warnings += loss_sample.warnings(pipeline, frames, job.grants)
                needs = self._needs(pipeline, dry, looks)
        for need in category_estimate.exceeding(needs, self._limit):
            if need.certain:
                problems.append(need.problem(self._limit))
            else:
                warnings.append(need.warning(self._limit))
        steps = _steps(pipeline, dry, None if known != "partly" else "the columns of a source are known only in part")
        steps = [_with_needs(step, needs) for step in steps]
        columns = steps[-1].output if steps else _planned_columns(dry.columns) if dry and dry.columns else None
        if dry is not None and dry.frame is not None:
            problems += _case_duplicates(dry.frame.schema, job)
        plan = Plan(
            configuration=masking.masked(resolved(pipeline)),
            sources=[look.source for look in looks],
            known=known,
            steps=steps,
            columns=columns,
            compared_with=self.before.version if self.before is not None else None,
            changes=self._changes(columns),
            problems=problems,
            warnings=warnings,
            plan=job.without_paths(dry.text()) if dry is not None and dry.frame is not None else None,
            passes=dry.passes if dry is not None and dry.frame is not None else None,
            stages=dry.stages if dry is not None and dry.frame is not None else None,
            memory_limit_bytes=self._limit or None,
            engine=engine.planned(pipeline, job, self._limit) if all(look.problem is None for look in looks) else None,
        )
        return job.masked(msgspec.json.encode(plan))

    def _needs(self, pipeline: Pipeline, dry: DryRun, looks: Sequence[_Look]) -> list[Need]:
        frames = [look.frame for look in looks if isinstance(look.frame, PolarsFrame)]
        if len(frames) < len(looks):
            return []
        rows = [look.source.rows for look in looks]
        return list(category_estimate.needs(pipeline, dry, frames, rows, self._job.grants, self._limit))

    def _look(self, pipeline: Pipeline, index: int, job: Job) -> _Look:
        collector, step = pipeline.collectors[index], f"collectors[{index}]"
        ctx = job.collect_context(step)
        fetch: dict[str, Any] = {}
        declared, scan, rows = collector.declared(), None, None
        frame: Frame | None = None
        known: Known = "unknown"
        why: str | None = _NOT_REQUESTED
        problem: Problem | None = None
        job.step = step
        try:
            with job.running(ctx):
                fetch = collector.outlook(ctx)
            if collector.local:
                found = asyncio.run(collect.one(pipeline, index, job))
                declared, scan, rows = Declared(found.frame.schema), found.scan, found.source.rows
                frame = found.frame
                known, why = "read", None
        except errors.StepError as error:
            problem = _problem(error, job)
            declared, why = None, problem.message
        if known != "read" and problem is None:
            declared, known, why = self._expected(index, declared)
        columns = None
        if declared is not None:
            columns = [
                PlannedColumn(n, None if n in declared.guessed else dtypes.name_of(t))
                for n, t in declared.schema.items()
            ]
        source = PlannedSource(
            step=step, id=pipeline.label(index), type=tag_of(type(collector)), fetch=masking.settings(fetch),
            known=known, columns=columns, rows=rows, why=why,
        )  # fmt: skip
        return _Look(source, declared, scan, problem, frame)

    def _expected(self, index: int, declared: Declared | None) -> tuple[Declared | None, Known, str | None]:
        """The columns of a source that is not read, how they are known, and what is not known."""
        if declared is not None and declared.exact:
            return declared, "settings", None
        earlier = _types(self.before.sources[index]) if self.before and index in self.before.sources else None
        if earlier is not None and self.before is not None:
            types = {**earlier, **({} if declared is None else _certain(declared))}
            if declared is not None and declared.closed:
                types = {n: types.get(n, t) for n, t in declared.schema.items()}
            return Declared(pl.Schema(types), closed=False), "version", f"as of version {self.before.version}"
        if declared is None:
            return None, "unknown", _NOT_REQUESTED
        why = "the types of some columns are not under schema" if declared.closed else "it may have other columns, too"
        return declared, "partly", why

    def _changes(self, columns: list[PlannedColumn] | None) -> list[version.SchemaChange] | None:
        if self.before is None or columns is None:
            return None
        return version.changes(
            version.named_types(self.before.columns), [Column(c.name, c.type or "") for c in columns]
        )


def validate(task: Validation, job: Job) -> bytes:
    """A JSON array of warnings. Raises the ``errors.StepError`` that a run is certain to end with."""
    pipeline = pipelines.decode(task.document, plugins.registry())
    sources = []
    for index in range(len(pipeline.collectors)):
        if job.stored(f"collectors[{index}]"):
            sources.append(Declared(asyncio.run(collect.one(pipeline, index, job)).frame.schema))
        elif (declared := pipeline.declared(index)) is not None:
            sources.append(declared)
    if len(sources) < len(pipeline.collectors):
        return b"[]"
    dry = dry_run.dry_run(pipeline, sources, job.grants)
    if dry.error is not None and dry.certain:
        raise dry.error
    likely = [_warning(dry.error, job)] if dry.error is not None and dry.likely else []
    return job.masked(msgspec.json.encode([*dry.ignored, *likely]))


def validate_offline(document: dict[str, Any], folder: Path) -> list[StepWarning]:
    """The warnings of a ``Validation`` without stored versions, in this process; ``folder`` takes stage files.

    Raises ``errors.Invalid`` where a run is certain to fail.
    """
    job = Job(Grants(folder=str(folder), memory_bytes=0), child_log.logger(lambda _: None), dry=True)
    try:
        warnings = validate(Validation(document=document), job)
    except errors.StepError as error:
        body = job.body(error)
        raise errors.Invalid(body.message, **body.details) from None
    return msgspec.json.decode(warnings, type=list[StepWarning])


def _not_data(pipeline: Pipeline, index: int) -> Declared | None:
    return None if index in pipeline.data else pipeline.declared(index)


@dataclass(frozen=True)
class _Look:
    """A source as the plan shows it, and what the dry run needs of it."""

    source: PlannedSource
    declared: Declared | None
    scan: pl.LazyFrame | None
    problem: Problem | None
    frame: Frame | None


def _steps(pipeline: Pipeline, dry: DryRun | None, open_by: str | None) -> list[PlannedStep]:
    executed = {part.step: part for part in dry.steps} if dry is not None else {}
    steps: list[PlannedStep] = []
    for index, processor in enumerate(pipeline.processors):
        step, tag = f"processors[{index}]", tag_of(type(processor))
        part = executed.get(step)
        if part is None:
            why, columns = "the columns of a source are not known", None
            if dry is not None and dry.error is not None:
                why = dry.error.message
                if index == len(dry.steps) and open_by is None:
                    columns = steps[-1].output if steps else _planned_columns(dry.columns or pl.Schema())
            steps.append(PlannedStep(step=step, type=tag, input=columns, why=why))
            continue
        steps.append(_step(part, open_by))
        open_by = steps[-1].why
    return steps


def _step(part: DryRunStep, open_by: str | None) -> PlannedStep:
    whole = [o for o in part.operations if o not in ("measure", "stage")]
    why = open_by
    if part.dynamic_columns:
        why = f"{', '.join(part.dynamic_columns)}: the columns are known only when rows were seen"
    return PlannedStep(
        step=part.step, type=part.type, row_local=not whole, measured="measure" in part.operations,
        operations=whole, staged=part.operations.count("stage"), fitted=_fitted(part.fitted),
        input=_planned_columns(part.input) if open_by is None else None,
        output=_planned_columns(part.output) if why is None else None,
        why=why,
    )  # fmt: skip


def _with_needs(step: PlannedStep, needs: Sequence[Need]) -> PlannedStep:
    sizes = [need.size for need in needs if need.step == step.step and need.most is None]
    return msgspec.structs.replace(step, held_bytes=sum(sizes)) if sizes else step


def _fitted(recorded: dict[str, Any]) -> dict[str, list[str]]:
    """The settings that fit numbers, with their columns."""
    return {
        name: list(value)
        for name, value in recorded.items()
        if isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())
    }


def _planned_columns(schema: pl.Schema) -> list[PlannedColumn]:
    return [PlannedColumn(name, dtypes.name_of(dtype)) for name, dtype in schema.items()]


def _types(columns: list[Column]) -> dict[str, pl.DataType] | None:
    """The types of a stored source; None if a configuration cannot name one of them."""
    try:
        return {c.name: dtypes.parse(c.type) for c in columns} or None
    except ValueError:
        return None


def _certain(declared: Declared) -> dict[str, pl.DataType]:
    return {name: dtype for name, dtype in declared.schema.items() if name not in declared.guessed}


def _problem(error: errors.StepError, job: Job) -> Problem:
    body = job.body(error)
    return Problem(str(body.details.get("field") or body.details.get("step") or ""), body.message)


def _warning(error: errors.StepError, job: Job) -> StepWarning:
    body = job.body(error)
    return StepWarning(str(body.details.get("step", "")), "may_fail", body.message, body.details)


def _case_duplicates(schema: pl.Schema, job: Job) -> list[Problem]:
    job.step = "storage"
    try:
        store.reject_names(schema)
    except errors.StepError as error:
        return [_problem(error, job)]
    return []
