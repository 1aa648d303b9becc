"""The run worker: collect, process, store, all in a child that can be killed at any point without harm.

It is given an ``Order`` and says what it does; it commits nothing. After ``Prepared`` it waits: only when the
supervisor has committed the version does it derive the deferred forms (native tables).
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Join, Pipeline
from service.model.run import Phase, Step
from service.model.version import Column, Source
from service.processes.channel import Channel
from service.runs import messages
from service.runs.messages import Order
from service.steps import foreign, layout, secrets
from service.steps.context import Context, Network, Rejected, Split, Stored
from service.steps.files import Files
from service.steps.frame import Frame
from service.steps.governor import Governor
from service.steps.registry import Registry
from service.steps.storage import Dataset, File, Written
from service.storages import parquet

# The share of the whole that each phase ends at, in percent.
_ENDS: dict[Phase, tuple[float, float]] = {"collecting": (0, 35), "processing": (35, 60), "storing": (60, 99)}
_NOTICE_SECONDS = 0.2  # progress is said no more often than this


@functools.cache
def registry() -> Registry:
    """The plug-ins, found once; the forkserver calls this when it preloads, so that children start with it."""
    return Registry.load()


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    worker = Worker(channel, messages.order(order))
    try:
        worker.run()
    except errors.PenstockError as error:
        worker.fail(error)
    except MemoryError:
        worker.fail(errors.Permanent(f"out of memory; a run may use {worker.order.memory_bytes >> 20} MiB"))
    except BaseException as error:  # a panic inside Polars is no Exception
        worker.log.error("run.bug", exc_info=True)
        worker.fail(foreign.translate(error, worker.step))


class Worker:
    """One run, inside its child."""

    def __init__(self, channel: Channel, order: Order) -> None:
        self.order = order
        self.step = ""
        self._channel = channel
        self._phase: Phase = "collecting"
        self._progress = 0.0
        self._noticed = 0.0
        self._rows_collected = 0
        self._steps: list[Step] = []
        self._warnings: list[dict[str, Any]] = []
        self._rejected: list[Rejected] = []
        self._committed = False
        self._governors: dict[str, Governor] = {}
        self.log = structlog.wrap_logger(
            _Relay(self),
            processors=[structlog.processors.format_exc_info, _as_fields],
            wrapper_class=structlog.BoundLogger,
        ).bind(run_id=order.run_id, pipeline=order.document.get("name"))

    # the flow

    def run(self) -> None:
        pipeline = pipelines.decode(self.order.document, registry())
        if self.order.reload is not None:
            again = self.order.reload
            dataset = Dataset(pipeline.name, self.order.version, [Path(p) for p in again.parts], again.rows)
            self._committed = True
            self._load(pipeline, dataset, Path(again.folder))
            return
        frame, sources = asyncio.run(self._collect(pipeline))
        fitted: dict[str, Any] = {}
        profiles: list[dict[str, Any]] = []
        frame = self._process(pipeline, frame, fitted, profiles)
        columns = [Column(name, str(dtype)) for name, dtype in frame.schema.items()]
        written = self._store(pipeline, frame)
        dataset = self._dataset(pipeline, written, Path(self.order.staging))
        self._check(pipeline, dataset)
        deferred = [_tag(s) for s in pipeline.storage if s.deferred]
        prepared = messages.Prepared(
            rows=written.rows, rows_collected=self._rows_collected, files=written.files, columns=columns,
            quarantine=self._quarantined(), rows_rejected=sum(r.rows for r in self._rejected),
            sources=sources, steps=self._steps,
            warnings=self._warnings, profiles=profiles, fitted=fitted, deferred=deferred,
            peak_memory_bytes=peak_memory(),
        )  # fmt: skip
        self._manifest(prepared)
        self._say(prepared)
        answer = self._channel.receive()
        if answer is None or not deferred:
            return
        folder = Path(messages.commit(answer).folder)
        self._committed = True
        self._load(pipeline, self._dataset(pipeline, written, folder), folder)

    async def _collect(self, pipeline: Pipeline) -> tuple[Frame, list[Source]]:
        async def one(index: int) -> tuple[Frame, Source]:
            collector = pipeline.collectors[index]
            tag = str(type(collector).__struct_config__.tag)
            ctx = self._context(f"collectors[{index}]", share=(index, len(pipeline.collectors)))
            ctx.folder = ctx.folder / f".collect-{index}"  # two collectors may choose the same file names
            ctx.folder.mkdir()
            rows = 0

            def count(more: int) -> None:
                nonlocal rows
                rows += more
                self._rows_collected += more

            ctx.on_rows = count
            ctx.stored = self._stored(index)
            ctx.rejected, ctx.beside = self._rejected, Path(self.order.staging)
            began = time.perf_counter()
            with self._translated(ctx.step):
                frame = await collector.collect(ctx)
            self._steps.append(Step(step=ctx.step, duration=time.perf_counter() - began, rows_out=rows))
            self.log.info("collector.finished", step=ctx.step, type=tag, rows=rows)
            return frame, Source(id=pipeline.label(index), type=tag, rows=rows, evidence=ctx.evidence)

        self._enter("collecting", "collectors[0]")
        found = await asyncio.gather(*(one(i) for i in range(len(pipeline.collectors))))
        frames, sources = [f for f, _ in found], [s for _, s in found]
        if len(frames) == 1:
            return frames[0], sources
        with self._timed("combine"):
            return _combined(pipeline, frames), sources

    def _stored(self, index: int) -> Stored | None:
        stored = self.order.stored.get(index)
        if stored is None:
            return None
        return Stored(stored.pipeline, stored.version, tuple(Path(p) for p in stored.parts), stored.rows)

    def _process(
        self, pipeline: Pipeline, frame: Frame, fitted: dict[str, Any], profiles: list[dict[str, Any]]
    ) -> Frame:
        splits: list[Split] = []
        for index, processor in enumerate(pipeline.processors):
            ctx = self._context(f"processors[{index}]", share=(index, len(pipeline.processors)))
            self._enter("processing", ctx.step)
            ctx.profiles = profiles
            ctx.rejected, ctx.splits = self._rejected, splits
            with self._timed(ctx.step):
                frame = processor.apply(frame, ctx)
            ctx.progress(1.0)
            if ctx.fitted:
                fitted[ctx.step] = {"type": _tag(processor), "parameters": ctx.fitted}
            self.log.info("processor.finished", step=ctx.step, type=_tag(processor))
        return frame

    def _store(self, pipeline: Pipeline, frame: Frame) -> Written:
        _refuse_twins(frame.schema.names())
        bases = [(i, s) for i, s in enumerate(pipeline.storage) if not s.deferred]
        index, base = bases[0] if bases else (0, parquet.ParquetStorage())
        ctx = self._context(f"storage[{index}]", share=(0, 2))
        self._enter("storing", ctx.step)
        with self._timed(ctx.step):
            written = base.write(frame, ctx.folder, ctx)
        if written is None:
            raise errors.Permanent(f"the storage '{_tag(base)}' wrote nothing", step=ctx.step)
        self._steps[-1] = msgspec.structs.replace(self._steps[-1], rows_out=written.rows)
        self.log.info("storage.finished", step=ctx.step, type=_tag(base), rows=written.rows)
        return written

    def _quarantined(self) -> list[File]:
        """The files of rows that steps refused, flushed."""
        kept = [(Path(self.order.staging) / r.file, r.rows) for r in self._rejected if r.file is not None]
        for path, _ in kept:
            layout.flush(path)
            path.chmod(0o444)
        return [parquet.describe(path, rows) for path, rows in kept]

    def _check(self, pipeline: Pipeline, dataset: Dataset) -> None:
        for index, storage in enumerate(pipeline.storage):
            ctx = self._context(f"storage[{index}]", share=(1, 2))
            with self._translated(ctx.step):
                storage.check(dataset, ctx)

    def _load(self, pipeline: Pipeline, dataset: Dataset, folder: Path) -> None:
        for index, storage in enumerate(pipeline.storage):
            ctx = self._context(f"storage[{index}]")
            ctx.folder = folder
            self.step = ctx.step
            began = time.perf_counter()
            with self._translated(ctx.step):
                written = storage.load(dataset, folder, ctx)
            if written is not None:
                self._say(messages.Loaded(written, ctx.step, time.perf_counter() - began, peak_memory()))

    def _manifest(self, prepared: messages.Prepared) -> None:
        """Write what a reader without the catalog needs to know of the version, and flush the folder."""
        folder = Path(self.order.staging)
        for left in folder.iterdir():
            if left.name not in {f.name for f in (*prepared.files, *prepared.quarantine)}:
                _remove(left)
        manifest = {
            "format": 1, "pipeline": self.order.document["name"], "version": self.order.version,
            "run_id": self.order.run_id, "revision": self.order.revision, "created": self.order.created,
            "rows": prepared.rows, "files": prepared.files, "columns": prepared.columns,
            "quarantine": prepared.quarantine,
            "sources": prepared.sources, "fitted": prepared.fitted, "profiles": prepared.profiles,
        }  # fmt: skip
        path = folder / layout.MANIFEST
        path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        layout.flush(path)
        layout.flush(folder)

    # what it says

    def fail(self, error: errors.PenstockError) -> None:
        """Tell the supervisor why the run ends, without any secret."""
        body = error.as_body()
        details = {"step": self.step, **body.details}
        self._say(
            messages.Failed(
                error=self._hidden(msgspec.structs.replace(body, details=_pathed(details))),
                steps=self._steps,
                warnings=self._warnings,
                rows_collected=self._rows_collected,
                peak_memory_bytes=peak_memory(),
                after_commit=self._committed,
            )
        )

    def say_line(self, fields: dict[str, Any]) -> None:
        self._say(messages.Line(fields))

    def _say(self, message: messages.Said) -> None:
        if isinstance(message, messages.Line | messages.Prepared) and self.order.secrets:
            message = self._hidden(message)
        self._channel.send(messages.encode(message))

    def _hidden(self, value: Any) -> Any:
        """``value`` with every secret masked, wherever it slipped in."""
        if not self.order.secrets:
            return value
        text = secrets.mask(msgspec.json.encode(value).decode(), _escaped(self.order.secrets.values()))
        return msgspec.json.decode(text, type=type(value))

    def _enter(self, phase: Phase, step: str) -> None:
        self._phase, self.step = phase, step
        self._notice(_ENDS[phase][0], always=True)

    def _notice(self, progress: float, *, always: bool = False) -> None:
        now = time.monotonic()
        self._progress = max(self._progress, progress)
        if always or now - self._noticed >= _NOTICE_SECONDS:
            self._noticed = now
            self._say(messages.Progress(self._phase, self.step, round(self._progress, 1), self._rows_collected))

    # its surroundings

    def _context(self, step: str, share: tuple[int, int] = (0, 1)) -> Context:
        order = self.order

        def progressed(part: float, message: str) -> None:
            low, high = _ENDS[self._phase]
            self._notice(low + (high - low) * (share[0] + part) / share[1])

        return Context(
            step=step, folder=Path(order.staging), memory_bytes=order.memory_bytes,
            files=Files(tuple(Path(r) for r in order.file_roots)),
            network=Network(allowed_private_hosts=order.allowed_private_hosts), secrets=order.secrets,
            governors=self._governors, warnings=self._warnings, on_progress=progressed, log=self.log,
        )  # fmt: skip

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        self.step = step
        began = time.perf_counter()
        with self._translated(step):
            yield
        self._steps.append(Step(step=step, duration=time.perf_counter() - began))

    @contextmanager
    def _translated(self, step: str) -> Iterator[None]:
        try:
            yield
        except (errors.PenstockError, MemoryError, asyncio.CancelledError):
            raise
        except BaseException as error:  # a panic inside Polars is no Exception
            raise foreign.translate(error, step) from error

    def _dataset(self, pipeline: Pipeline, written: Written, folder: Path) -> Dataset:
        return Dataset(pipeline.name, self.order.version, [folder / f.name for f in written.files], written.rows)


class _Relay:
    """Where the worker's log lines go: over the channel."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __getattr__(self, level: str) -> Any:
        def emit(**fields: Any) -> None:
            self._worker.say_line({"level": level, **fields})

        return emit


def _as_fields(_: Any, level: str, event: Any) -> tuple[tuple[()], dict[str, Any]]:
    return (), {
        key: value if isinstance(value, int | float | bool | None) else str(value) for key, value in event.items()
    }


def _tag(plugin: msgspec.Struct) -> str:
    return str(type(plugin).__struct_config__.tag)


def _combined(pipeline: Pipeline, frames: list[Frame]) -> Frame:
    combine, first = pipeline.combine, frames[0]
    if not isinstance(combine, Join):
        return first.union(frames[1:])
    for index, frame in enumerate(frames):
        for column in combine.on:
            if column not in frame.schema.names():
                hint = errors.did_you_mean(column, frame.schema.names())
                raise errors.Permanent(
                    f"the source {pipeline.label(index)} has no column '{column}' to join on{hint}",
                    step="combine", field="combine.on",
                )  # fmt: skip
    for frame in frames[1:]:
        first = first.join(frame, combine.on, how=combine.type)
    return first


def _refuse_twins(names: list[str]) -> None:
    """SQL does not tell ``A`` from ``a``: better refused than renamed behind the user's back."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise errors.Permanent(
                f"the columns '{twin}' and '{name}' differ only in case, which SQL cannot tell apart; rename one "
                "(rename_columns, or normalize_names in a cleaner)"
            )
    if not names:
        raise errors.Permanent("nothing to store: no column is left")


def _pathed(details: dict[str, Any]) -> dict[str, Any]:
    """``field`` made absolute: steps name it relative to themselves."""
    field, step = details.get("field"), str(details.get("step", ""))
    if isinstance(field, str) and field and step and not field.startswith((step, "combine")):
        return {**details, "field": f"{step}.{field}" if not field.startswith("[") else f"{step}{field}"}
    return details


def _escaped(values: Any) -> list[str]:
    return [msgspec.json.encode(v).decode()[1:-1] for v in values]


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def peak_memory() -> int:
    """The most memory this process held at once, in bytes (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
