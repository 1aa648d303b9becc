"""Replay: quarantined rows go through the current configuration again; what passes is added to the newest version.

The rows of each step that refused some go their own way, from where ``replay_plan`` says. They are few and bad, so
they answer no question about the data: what a step that is as it was asks (means, categories, bin edges) is answered
as it was for the newest version (``engine.fit_record``), a step that was changed or needs other rows (windows,
aggregates) cannot be gone through, shares and row counts decide nothing. What is refused again, or could not be
tried, stays in quarantine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import polars as pl

from service.engine import fit_record
from service.engine.fit_record import FitRecord, Playback, Recorder
from service.engine.polars_frame import PolarsFrame
from service.expressions import select
from service.files import quarantine
from service.jobs import messages, process, replay_plan
from service.jobs.job import Job
from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.model.version import Source
from service.processors.analyzer import Analyzer
from service.steps.context import Rejected
from service.steps.frame import Frame, Keep
from service.steps.metric import Metric, Values
from service.values import cast, dtypes

_ROWS = Metric("", "rows")
_CANNOT: Final = "NOT_REPLAYED"
_SKIPPABLE = ("NEEDS_ALL_ROWS", _CANNOT)  # rows that cannot be tried stay where they are; others may pass


class QuarantinedRows(PolarsFrame):
    """A few rows that do not stand for the data. ``asked`` says that the step that has them may look at them;
    ``player`` answers one that may not. ``compared`` says that the step compared them, and only them, with each other.
    """

    asked = False
    player: Playback | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._compared: list[bool] = []  # shared with what comes of it

    @property
    def compared(self) -> bool:
        return bool(self._compared)

    def measure(self, metrics: Iterable[Metric]) -> Values:
        wanted = list(metrics)
        if self.asked or not wanted:
            return super().measure(wanted)
        if self.player is None:
            self._refuse()
        try:
            return self.player.answers(wanted)
        except errors.Permanent:
            self._refuse()

    def group(self, by: Sequence[str], aggregates: Sequence[pl.Expr]) -> PolarsFrame:
        return super().group(by, aggregates) if self.asked else self._refuse()

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> PolarsFrame:
        self._compared.append(True)
        return super().distinct(keys, keep=keep)

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> PolarsFrame:
        self._compared.append(True)
        return super().per_group(by, order_by, made) if self.asked else self._refuse()

    def query(self, sql: str) -> PolarsFrame:
        plain = select.local(sql, "_")
        return self._refuse() if plain is None else super().query(plain.text)

    def looked_at(self, *, asked: bool, player: Playback | None = None) -> QuarantinedRows:
        """The same rows for a step that may, or may not, look at all of them."""
        frame = self._next(self.lazy, expensive=False)
        frame.asked, frame.player, frame._compared = asked, player, []
        return frame

    def _next(self, lf: pl.LazyFrame, *, expensive: bool, others: Sequence[PolarsFrame] = ()) -> QuarantinedRows:
        frame = super()._next(lf, expensive=expensive, others=others)
        assert isinstance(frame, QuarantinedRows)
        frame.asked, frame.player, frame._compared = self.asked, self.player, self._compared
        return frame

    def _refuse(self) -> NoReturn:
        raise errors.Permanent(
            "this step was changed or computes from all rows of the data, and a replay has only those in quarantine; "
            "execute the pipeline again to have them all",
            code="NEEDS_ALL_ROWS",
        )


def replayed(pipeline: Pipeline, job: Job, order: messages.Replay) -> tuple[Frame, list[Source]]:
    """The newest version's rows and those that pass now, and a source that says how many these are.

    Raises ``errors.Permanent``: what a step raises, NEEDS_ALL_ROWS, NOTHING_PASSED.
    """
    passed: list[QuarantinedRows] = []
    blocked: list[errors.Permanent] = []
    tried = came = 0
    job.enter("processing", "replay")
    job.tape = Recorder(pl.Schema(), _taped(order, pipeline))
    for file in map(Path, order.files):
        step, rows = _step_and_rows(file)
        tried += rows
        job.collected(rows)
        before = len(job.rejected)
        try:
            with job.translated("replay"):
                frame, count = _tried(pipeline, job, order, file, step)
        except errors.Permanent as error:
            if error.error_code not in _SKIPPABLE:
                raise
            blocked.append(error)
            job.context(step).warn("not_replayed", f"the {rows} rows that {step} refused stay: {error.message}")
            _take_back(job, before)
            _keep(job, file, step, step, rows)
            continue
        _set_apart(job, before)
        came += count
        if count:
            passed.append(frame)
    if not came:
        raise next((b for b in blocked if b.error_code == "NEEDS_ALL_ROWS"), None) or _nothing_passed(job, order, tried)
    for file in map(Path, order.carried):
        step, rows = _step_and_rows(file)
        _keep(job, file, step, _now(step, order.base_before, pipeline), rows)
    job.fitted.clear()
    job.fitted.update(order.fitted)
    evidence = {"version": order.version, "rows": tried}
    whole = _added(pipeline, job, order, passed)
    return whole, [Source(id=f"quarantine@{order.version}", type="replay", rows=came, evidence=evidence)]


def _tried(pipeline: Pipeline, job: Job, order: messages.Replay, file: Path, step: str) -> tuple[QuarantinedRows, int]:
    """The rows of a quarantine file after the last processor, and how many there are.

    Raises ``errors.Permanent`` with a code of ``_SKIPPABLE`` where there is no way to try them.
    """
    if step.startswith("collectors"):
        frame = QuarantinedRows(_read_again(pipeline, job, file, step), job.folder, expensive=False)
        repeated, refused_at = list[int](), 0
    else:
        now, index = pipeline.document.get("processors", []), replay_plan.number(step)
        repeated = replay_plan.repeated(index, order.before, now, pipeline.processors)
        refused_at = replay_plan.place(index, order.before, now)
        names = quarantine.data_columns(list(pl.read_parquet_schema(file)))
        lf = pl.scan_parquet(file, glob=False).select(pl.col(kept).alias(own) for kept, own in names.items())
        frame = QuarantinedRows(lf, job.folder, expensive=False)
    if not _count(frame):
        return frame, 0
    frame = _way(pipeline, job, frame, repeated, refused_at)
    return frame, _count(frame)


def _taped(order: messages.Replay, pipeline: Pipeline) -> FitRecord | None:
    """What the steps of the newest version were answered, for those that are as they were, where they stand now."""
    if order.tape is None:
        return None
    kept = fit_record.decode(Path(order.tape).read_bytes())
    steps = {}
    for index, document in enumerate(pipeline.document.get("processors", [])):
        alike = [at for at, earlier in enumerate(order.base_before) if earlier == document]
        if alike:
            at = min(alike, key=lambda place: abs(place - index))
            played = kept.steps.get(f"processors[{at}]")
            if played is not None:
                steps[f"processors[{index}]"] = played
    return msgspec.structs.replace(kept, steps=steps)


def _count(frame: QuarantinedRows) -> int:
    return int(frame.looked_at(asked=True).measure([_ROWS])[_ROWS])


def _read_again(pipeline: Pipeline, job: Job, file: Path, step: str) -> pl.LazyFrame:
    """The rows that can be made of malformed ones now, as their collector makes rows."""
    index = replay_plan.number(step)
    ctx = job.context(step)
    if index >= len(pipeline.collectors) or isinstance(pipeline.combine, Join):
        raise errors.Permanent("they cannot be tried alone, as sources are joined, or theirs is gone", code=_CANNOT)
    ctx.folder = job.folder / f".collect-{index}"
    ctx.folder.mkdir(exist_ok=True)
    ctx.beside, ctx.source = job.folder, pipeline.label(index)
    with job.timed(step):
        frame = pipeline.collectors[index].again(file, ctx)
    if frame is None:
        raise errors.Permanent("its collector has no way of reading them again", code=_CANNOT)
    return frame


def _way(pipeline: Pipeline, job: Job, frame: QuarantinedRows, repeated: list[int], refused_at: int) -> QuarantinedRows:
    """The rows after those processors that are ``repeated``, and every one from ``refused_at``."""
    for index in (*repeated, *range(refused_at, len(pipeline.processors))):
        processor = pipeline.processors[index]
        if isinstance(processor, Analyzer):
            continue
        if index < refused_at:
            processor = processor.again()
        played = job.tape.played(f"processors[{index}]")
        player = Playback(f"processors[{index}]", played) if played is not None else None
        given = frame.looked_at(asked=processor.read_only, player=player)
        made = process.applied(pipeline, index, given, job, processor=processor, replay=True)
        assert isinstance(made, QuarantinedRows)
        step = f"processors[{index}]"
        if given.compared and (step, "compared_alone") not in {(w["step"], w["code"]) for w in job.warnings}:
            job.context(step).warn(
                "compared_alone",
                "what is unique was judged among the rows in quarantine only; a row that is stored already may be "
                "added a second time. Execute the pipeline again to compare all rows",
            )
        frame = made
    return frame.looked_at(asked=False)


def _added(pipeline: Pipeline, job: Job, order: messages.Replay, passed: list[QuarantinedRows]) -> Frame:
    """The rows of the newest version and those that passed, in its types."""
    parts = [Path(p) for p in order.base.parts]
    base = PolarsFrame(pl.scan_parquet(parts, glob=False), job.folder, expensive=False)
    ctx = job.context("replay")
    whole: Frame = base.union([_typed(frame, base.schema, order) for frame in passed])
    new = [n for n in whole.schema if n not in base.schema]
    gone = sorted({n for frame in passed for n in base.schema if n not in frame.schema})
    if new or gone:
        said = [f"{what}: {', '.join(names)}" for what, names in (("new", new), ("no longer there", gone)) if names]
        ctx.warn(
            "columns_differ",
            f"the columns changed since version {order.base.version} ({'; '.join(said)}); they are null in the rows "
            "that lack them. Execute the pipeline again to have all rows alike",
            new=new, gone=gone,
        )  # fmt: skip
    last = len(pipeline.processors)
    while last and pipeline.processors[last - 1].read_only:
        last -= 1
    for index, processor in enumerate(pipeline.processors):
        if isinstance(processor, Analyzer) and index >= last:
            whole = process.applied(pipeline, index, whole, job)
        elif isinstance(processor, Analyzer):
            ctx.warn("profile_left_out", f"processors[{index}] would see only the rows in quarantine")
    return whole


def _typed(frame: QuarantinedRows, schema: pl.Schema, order: messages.Replay) -> Frame:
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
    found = pl.scan_parquet(file, glob=False).select(pl.col("_step").first(), pl.len()).collect().row(0)
    return str(found[0]), int(found[1])


def _now(step: str, before: list[Any], pipeline: Pipeline) -> str:
    """The name of a step of an earlier configuration in the current one."""
    if not step.startswith("processors"):
        return step
    return f"processors[{replay_plan.place(replay_plan.number(step), before, pipeline.document.get('processors', []))}]"


def _keep(job: Job, file: Path, step: str, now: str, rows: int) -> None:
    """A quarantine file stays in quarantine, under the name that its step has now."""
    target = _free(job.folder, quarantine.file_of(now))
    if step == now:
        shutil.copyfile(file, target)
    else:
        pl.scan_parquet(file, glob=False).with_columns(_step=pl.lit(now)).sink_parquet(target, engine="streaming")
    job.rejected.append(Rejected(rows, target.name, now))


def _set_apart(job: Job, before: int) -> None:
    """Rename the files that steps wrote just now: the same steps write their files again."""
    for place, rejected in enumerate(job.rejected[before:], before):
        if rejected.file is not None:
            target = _free(job.folder, f"again-{rejected.file}")
            (job.folder / rejected.file).rename(target)
            job.rejected[place] = Rejected(rejected.rows, target.name, rejected.step)


def _take_back(job: Job, before: int) -> None:
    """Forget what steps refused just now: the rows stay where they were."""
    for rejected in job.rejected[before:]:
        if rejected.file is not None:
            (job.folder / rejected.file).unlink()
    del job.rejected[before:]


def _free(folder: Path, name: str) -> Path:
    target, number = folder / name, 1
    while target.exists():
        number += 1
        target = folder / name.replace(".parquet", f"-{number}.parquet")
    return target


def _nothing_passed(job: Job, order: messages.Replay, tried: int) -> errors.Permanent:
    kept = [job.folder / r.file for r in job.rejected if r.file is not None]
    reasons = quarantine.count_reasons(kept)
    said = ", ".join(f"{r['rule']} of {r['step']} ({r['rows']}×)" for r in reasons[:5])
    return errors.Permanent(
        f"none of the {tried} rows in quarantine of version {order.version} passes now"
        f"{f': {said}' if said else ''}; change the configuration and replay again",
        code="NOTHING_PASSED", step="replay", rules=reasons,
    )  # fmt: skip
