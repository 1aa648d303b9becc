"""Replay: quarantined rows pass through the current configuration again; what passes is added to the newest version.

The rows of each step that rejected some take their own way, from where ``replay_plan`` puts them. They are few and bad,
so they do not represent the data: a step that did not change gets the values (means, categories, bin edges) that it
measured for the newest version (``engine.fit_record``); a step that was changed or needs other rows (windows,
aggregates) cannot be repeated; shares and row counts decide nothing. What is rejected again, or could not be tried,
stays in quarantine.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from service.engine import fit_record
from service.engine.fit_record import FitRecord, Playback, Recorder
from service.engine.polars_frame import PolarsFrame
from service.files import quarantine
from service.jobs import chosen_rows, messages, newer_rows, process, replay_plan
from service.jobs.job import Job
from service.jobs.outcome import Outcome
from service.jobs.process import Processed
from service.jobs.quarantined_rows import QuarantinedRows
from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.model.run import Step
from service.model.version import Source
from service.processors.analyzer import Analyzer
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.report import Rejected
from service.values import cast, dtypes

_ROWS = Metric("", "rows")
_CANNOT: Final = "NOT_REPLAYED"
_SKIPPABLE = ("NEEDS_ALL_ROWS", _CANNOT)  # rows that cannot be tried stay where they are; others may pass


def replay(pipeline: Pipeline, job: Job, order: messages.Replay) -> Outcome:
    """The newest version's rows and those that pass now, and a source that counts the latter.

    Raises ``errors.Permanent``: what a step raises, NEEDS_ALL_ROWS, NOTHING_PASSED.
    """
    job.enter("processing", "replay")
    recorder = Recorder(pl.Schema(), _earlier_record(order, pipeline))
    passed: list[Frame] = []
    rejected: list[Rejected] = []
    blocked: list[errors.Permanent] = []
    tried = added = newer = 0
    base = PolarsFrame(pl.scan_parquet([Path(p) for p in order.base.parts], glob=False), job.folder, expensive=False)
    files, left = chosen_rows.split(job.folder, order)
    rejected += [_stays(job.folder, file, order.before, pipeline) for file in left]
    for file in files:
        step, rows = _step_and_rows(file)
        tried += rows
        job.collected(rows)
        start = len(job.journal)
        try:
            with job.translated("replay"):
                frame, again, count = _try(pipeline, job, order, file, step, recorder)
        except errors.Permanent as error:
            if error.error_code not in _SKIPPABLE:
                raise
            blocked.append(error)
            job.warn(step, "not_replayed", f"the {rows} rows that {step} refused stay: {error.message}")
            _remove_files(job.folder, job.journal.rejected(start))
            rejected.append(_keep(job.folder, file, step, step, rows))
            continue
        rejected += _set_apart(job.folder, again)
        if not count:
            continue
        typed, refused = _with_types(frame, base.schema, order), None
        if pipeline.mode.mode == "merge":
            target = _free(job.folder, quarantine.file_of(newer_rows.STEP))
            typed, refused = newer_rows.without_newer(typed, order, pipeline.mode.key, target)
        if refused is not None:
            rejected.append(refused)
            newer, count = newer + refused.rows, count - refused.rows
        added += count
        if count:
            passed.append(typed)
    if newer:
        job.warn(
            "replay", "newer_rows_kept",
            f"{newer} rows that pass now stay in quarantine: their run, or a later one, stored other rows with their "
            f"keys ({', '.join(pipeline.mode.key)})", rows=newer,
        )  # fmt: skip
    if not added:
        needs_all = next((b for b in blocked if b.error_code == "NEEDS_ALL_ROWS"), None)
        raise needs_all or _nothing_passed(job.folder, rejected, order, tried)
    rejected += [_stays(job.folder, file, order.base_before, pipeline) for file in map(Path, order.carried)]
    whole = _add(pipeline, job, order, base, passed, recorder)
    evidence = {"version": order.version, "rows": tried}
    return Outcome(
        whole.frame, [Source(id=f"quarantine@{order.version}", type="replay", rows=added, evidence=evidence)],
        recorder.fit_record(), rejected=(*rejected, *whole.rejected), fitted=order.fitted, profiles=whole.profiles,
    )  # fmt: skip


def _try(
    pipeline: Pipeline, job: Job, order: messages.Replay, file: Path, step: str, recorder: Recorder
) -> tuple[QuarantinedRows, tuple[Rejected, ...], int]:
    """The rows of a quarantine file after the last processor, those that are rejected again, and how many pass.

    Raises ``errors.Permanent`` with a code of ``_SKIPPABLE`` where they cannot be tried.
    """
    rejected: tuple[Rejected, ...] = ()
    if step.startswith("collectors"):
        lf, rejected = _read_again(pipeline, job, file, step)
        repeated, refused_at = list[int](), 0
    elif step == newer_rows.STEP:  # it was refused after the last processor
        lf, repeated, refused_at = _data(file), list[int](), len(pipeline.processors)
    else:
        now, index = pipeline.document.get("processors", []), replay_plan.number(step)
        refused_at = replay_plan.place(index, order.before, now)
        lf = _data(file)
        stored = pl.scan_parquet([Path(part) for part in order.base.parts], glob=False).collect_schema()
        way = replay_plan.way(index, order.before, now, pipeline.processors, lf.collect_schema(), stored)
        if way.cut_off is not None:
            raise errors.Permanent(
                f"they hold values that processors[{way.cut_off}] could not cast, and a step between it and {step} "
                "cannot be repeated; execute the pipeline again", code=_CANNOT,
            )  # fmt: skip
        repeated, lf = way.repeated, lf.rename(way.renamed)
    frame = QuarantinedRows(lf, job.folder, expensive=False)
    if not _count(frame):
        return frame, rejected, 0
    before = Processed(frame, rejected=rejected)
    frame, rejected = _process(pipeline, job, before, [*repeated, *range(refused_at, len(pipeline.processors))],
                               refused_at, recorder)  # fmt: skip
    return frame, rejected, _count(frame)


def _data(file: Path) -> pl.LazyFrame:
    names = quarantine.data_columns(list(pl.read_parquet_schema(file)))
    return pl.scan_parquet(file, glob=False).select(pl.col(kept).alias(own) for kept, own in names.items())


def _earlier_record(order: messages.Replay, pipeline: Pipeline) -> FitRecord | None:
    """The fit record of the newest version, for the steps that did not change, under their current names."""
    if order.fit_record is None:
        return None
    record = fit_record.decode(Path(order.fit_record).read_bytes())
    steps = {}
    for index, document in enumerate(pipeline.document.get("processors", [])):
        alike = [at for at, earlier in enumerate(order.base_before) if earlier == document]
        if alike:
            at = min(alike, key=lambda place: abs(place - index))
            step_record = record.steps.get(f"processors[{at}]")
            if step_record is not None:
                steps[f"processors[{index}]"] = step_record
    return msgspec.structs.replace(record, steps=steps)


def _count(frame: QuarantinedRows) -> int:
    return int(frame.for_step(measurable=True).measure([_ROWS])[_ROWS])


def _read_again(pipeline: Pipeline, job: Job, file: Path, step: str) -> tuple[pl.LazyFrame, tuple[Rejected, ...]]:
    """The rows that can be read now from malformed ones, as their collector reads rows, and those still malformed."""
    index = replay_plan.number(step)
    if index >= len(pipeline.collectors) or isinstance(pipeline.combine, Join):
        raise errors.Permanent(
            "they cannot be tried alone: their sources are joined, or their source no longer exists", code=_CANNOT
        )
    folder = job.folder / f".collect-{index}"
    folder.mkdir(exist_ok=True)
    ctx = dataclasses.replace(job.collect_context(step), folder=folder, beside=job.folder, source=pipeline.label(index))
    job.step, began = step, time.perf_counter()
    with job.running(ctx):
        lf = pipeline.collectors[index].again(file, ctx)
    job.end(Step(step=step, duration=time.perf_counter() - began))
    if lf is None:
        raise errors.Permanent("its collector cannot read them again", code=_CANNOT)
    return lf, ctx.report().rejected


def _process(
    pipeline: Pipeline, job: Job, start: Processed, places: Sequence[int], refused_at: int, recorder: Recorder
) -> tuple[QuarantinedRows, tuple[Rejected, ...]]:
    """The rows after the processors at ``places``, and what these reject; those before ``refused_at`` are repeated."""
    processed = start
    for index in places:
        processor, step = pipeline.processors[index], f"processors[{index}]"
        if isinstance(processor, Analyzer):
            continue
        if index < refused_at:
            processor = processor.again()
        earlier = recorder.earlier(step)
        playback = Playback(step, earlier) if earlier is not None else None
        assert isinstance(processed.frame, QuarantinedRows)
        rows = processed.frame.for_step(measurable=processor.read_only, playback=playback)
        before = dataclasses.replace(processed, frame=rows)
        processed = process.apply(pipeline, index, before, job, recorder, processor=processor, replay=True)
        if rows.compared and (step, "compared_alone") not in {(w.step, w.code) for w in job.journal.warnings}:
            job.warn(
                step, "compared_alone",
                "what is unique was judged among the rows in quarantine only; a row that is stored already may be "
                "added a second time. Execute the pipeline again to compare all rows",
            )  # fmt: skip
    assert isinstance(processed.frame, QuarantinedRows)
    return processed.frame.for_step(measurable=False), processed.rejected


def _add(
    pipeline: Pipeline, job: Job, order: messages.Replay, base: Frame, passed: Sequence[Frame], recorder: Recorder
) -> Processed:
    """The rows of the newest version ``base`` and those that passed, in its types, and profiles of all of them."""
    whole = Processed(base.union(passed))
    new = [n for n in whole.frame.schema if n not in base.schema]
    gone = sorted({n for frame in passed for n in base.schema if n not in frame.schema})
    if new or gone:
        changes = [f"{what}: {', '.join(names)}" for what, names in (("new", new), ("no longer there", gone)) if names]
        job.warn(
            "replay", "columns_differ",
            f"the columns changed since version {order.base.version} ({'; '.join(changes)}); they are null in the rows "
            "that lack them. Execute the pipeline again to have all rows alike",
            new=new, gone=gone,
        )  # fmt: skip
    last = len(pipeline.processors)
    while last and pipeline.processors[last - 1].read_only:
        last -= 1
    for index, processor in enumerate(pipeline.processors):
        if isinstance(processor, Analyzer) and index >= last:
            whole = process.apply(pipeline, index, whole, job, recorder)
        elif isinstance(processor, Analyzer):
            job.warn("replay", "profile_left_out", f"processors[{index}] would see only the rows in quarantine")
    return whole


def _with_types(frame: Frame, schema: pl.Schema, order: messages.Replay) -> Frame:
    casts = []
    for name, dtype in frame.schema.items():
        wanted = schema.get(name, dtype)
        if wanted == dtype:
            continue
        try:
            casts.append(cast.cast(name, dtype, wanted, strict=True, at=("replay", "")).alias(name))
        except ValueError as error:
            raise errors.Permanent(
                f"'{name}' is {dtypes.name_of(dtype)} now and {dtypes.name_of(wanted)} in version "
                f"{order.base.version}: {error}; execute the pipeline again", step="replay",
            ) from error  # fmt: skip
    return frame.rows(lambda lf: lf.with_columns(casts)) if casts else frame


def _step_and_rows(file: Path) -> tuple[str, int]:
    row = pl.scan_parquet(file, glob=False).select(pl.col("_step").first(), pl.len()).collect().row(0)
    return str(row[0]), int(row[1])


def _current_name(step: str, before: list[Any], pipeline: Pipeline) -> str:
    """The name of a step of an earlier configuration in the current one."""
    if not step.startswith("processors"):
        return step
    return f"processors[{replay_plan.place(replay_plan.number(step), before, pipeline.document.get('processors', []))}]"


def _stays(folder: Path, file: Path, before: list[Any], pipeline: Pipeline) -> Rejected:
    """Keep a quarantine file that is not tried, of steps of an earlier configuration."""
    step, rows = _step_and_rows(file)
    return _keep(folder, file, step, _current_name(step, before, pipeline), rows)


def _keep(folder: Path, file: Path, step: str, now: str, rows: int) -> Rejected:
    """Keep a quarantine file in quarantine, under the name that its step has now."""
    target = _free(folder, quarantine.file_of(now))
    if step == now:
        shutil.copyfile(file, target)
    else:
        pl.scan_parquet(file, glob=False).with_columns(_step=pl.lit(now)).sink_parquet(target, engine="streaming")
    return Rejected(rows, target.name, now)


def _set_apart(folder: Path, rejected: Iterable[Rejected]) -> list[Rejected]:
    """Rename the files of ``rejected``: the same steps will write files of these names again."""
    renamed = []
    for one in rejected:
        if one.file is not None:
            target = _free(folder, f"again-{one.file}")
            (folder / one.file).rename(target)
            one = dataclasses.replace(one, file=target.name)
        renamed.append(one)
    return renamed


def _remove_files(folder: Path, rejected: Iterable[Rejected]) -> None:
    """Remove what steps wrote for rows that stay where they were."""
    for one in rejected:
        if one.file is not None:
            (folder / one.file).unlink()


def _free(folder: Path, name: str) -> Path:
    target, number = folder / name, 1
    while target.exists():
        number += 1
        target = folder / name.replace(".parquet", f"-{number}.parquet")
    return target


def _nothing_passed(folder: Path, rejected: Iterable[Rejected], order: messages.Replay, tried: int) -> errors.Permanent:
    reasons = quarantine.count_reasons([folder / r.file for r in rejected if r.file is not None])
    listed = ", ".join(f"{r['rule']} of {r['step']} ({r['rows']}×)" for r in reasons[:5])
    return errors.Permanent(
        f"none of the {tried} rows in quarantine of version {order.version} passes now"
        f"{f': {listed}' if listed else ''}; change the configuration and replay again",
        code="NOTHING_PASSED", step="replay", rules=reasons,
    )  # fmt: skip
