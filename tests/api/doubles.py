"""Doubles of what stands beside the API: a supervisor whose runs end when told, an engine that answers itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.api.examples import PROFILES
from service.catalog.history import Alongside, History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files.event_journal import Event
from service.jobs.application import ApplyAnswer, ApplyRequest
from service.kit import errors
from service.kit.clock import Clock
from service.model.lifecycle import Status
from service.model.run import ReplayedRow, Run, public
from service.model.service_process import ServiceProcess
from service.model.version import Column, Source, Version
from service.query.scope import EVERYTHING, Scope
from service.steps.report import FittedStep
from service.steps.storage import File
from service.values.profile import Profile

PROFILE = PROFILES["profiles"][0]


@dataclass
class Supervisor:
    """Runs are completed at once with one version, unless ``holding``."""

    pipelines: Pipelines
    history: History
    clock: Clock
    holding: bool = False
    going: dict[str, Run] = field(default_factory=dict)
    loaded: list[int] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    draining: bool = False
    lines: list[bytes] = field(default_factory=list)
    replayed: list[tuple[str, str | None, int]] = field(default_factory=list)

    async def execute(
        self,
        name: str,
        requested_by: str | None,
        *,
        full_refresh: bool = False,
        alongside: Sequence[Alongside] = (),
    ) -> Run:
        record = await asyncio.to_thread(self.pipelines.get, name)
        if record.id in self.going:
            raise errors.Conflict(f"'{name}' is being run", code="PIPELINE_RUNNING")
        now = self.clock.now()
        number = self.history.runs(record.id, limit=1, offset=0)[1] + 1
        run = Run(
            run_id=f"run_{number}{len(self.going)}{record.id}", pipeline=name,
            revision=record.revision, status="running", requested_by=requested_by, queued_at=now,
        )  # fmt: skip
        self.history.add_run(record.id, run, alongside)
        if self.holding:
            self.going[record.id] = run = msgspec.structs.replace(run, status="running", progress=10.0)
            return run
        number = self.history.next_version(record.id)
        run = msgspec.structs.replace(
            run, status="completed", version=number, rows_stored=10, progress=100.0, start_time=now, end_time=now,
            duration=0.5,
        )  # fmt: skip
        columns = [Column("a", "Int64"), *([Column("b", "String")] if number > 1 else [])]
        self.history.publish(record.id, run, Version(
            pipeline=name, version=number, run_id=run.run_id, revision=record.revision, table=record.table, rows=10,
            bytes=100, columns=columns, files=[], sources=[Source(id="csv_0", type="csv", rows=10)], created=now,
            profiles=[msgspec.convert(PROFILE, Profile)],
            fitted={"processors[0]": FittedStep("cleaner", {"least": 1.5})},
            fit_record=File("tape.json", 10, 0, "") if number > 1 else None,
        ))  # fmt: skip
        return run

    async def replay(
        self,
        name: str,
        requested_by: str | None,
        version: int | str | None = None,
        *,
        rows: Sequence[ReplayedRow] = (),
        alongside: Sequence[Alongside] = (),
    ) -> Run:
        record = await asyncio.to_thread(self.pipelines.get, name)
        found = await asyncio.to_thread(self.history.version, record.id, name, version)
        self.replayed.append((name, requested_by, found.version))
        run = msgspec.structs.replace(
            await self.execute(name, requested_by, alongside=alongside),
            replay_of=found.version,
            replayed_rows=list(rows),
        )
        await asyncio.to_thread(self.history.amend_run, record.id, run)
        return run

    async def restore(
        self, name: str, number: int | str, requested_by: str | None, *, state: bool = False,
        alongside: Sequence[Alongside] = (),
    ) -> Version:  # fmt: skip
        record = await asyncio.to_thread(self.pipelines.get, name)
        source = await asyncio.to_thread(self.history.version, record.id, name, number)
        newest = await asyncio.to_thread(self.history.version, record.id, name)
        if source.version == newest.version:
            return newest
        run = await self.execute(name, requested_by, alongside=alongside)
        return await asyncio.to_thread(self.history.version, record.id, name, run.version)

    @contextlib.contextmanager
    def reserved(self, record: PipelineRecord) -> Iterator[None]:
        if record.id in self.going:
            raise errors.Conflict(f"'{record.name}' is being run", code="PIPELINE_RUNNING")
        yield

    def processes(self) -> list[ServiceProcess]:
        return [
            ServiceProcess(
                id="start_1", kind="worker", host="h", pid=1, release="0.1.0", concurrency=2, started=self.clock.now(),
                last_seen=self.clock.now(),
            )
        ]  # fmt: skip

    def lacking(self, label: str | None) -> str | None:
        return None if label in (None, "gpu") else f"no living process has the label '{label}'"

    def load_native(self, pipeline_id: str, version: Version) -> None:
        self.loaded.append(version.version)

    async def wait(self, run_id: str, seconds: float) -> Run:
        return await self.run(run_id)

    async def run(self, run_id: str) -> Run:
        live = [r for r in self.going.values() if r.run_id == run_id]
        return live[0] if live else await asyncio.to_thread(self.history.run, run_id)

    async def newest(self, pipeline_id: str) -> Run | None:
        return self.going.get(pipeline_id) or await asyncio.to_thread(self.history.newest_run, pipeline_id)

    async def runs(
        self, pipeline_id: str, *, limit: int, offset: int, status: Status | None = None
    ) -> tuple[list[Run], int]:
        found, total = await asyncio.to_thread(
            self.history.runs, pipeline_id, limit=limit, offset=offset, status=status
        )
        return [await self.run(run.run_id) for run in found], total

    def newest_statuses(self, pipeline_ids: Sequence[str]) -> dict[str, str]:
        return self.history.newest_statuses(pipeline_ids)

    def present(self) -> dict[str, Run]:
        return {}

    async def cancel(self, run_id: str) -> Run:
        run = await self.run(run_id)
        for pipeline_id, live in list(self.going.items()):
            if live.run_id == run_id:
                del self.going[pipeline_id]
                error = errors.Permanent("it failed", step="collectors[0]").as_body()
                run = msgspec.structs.replace(live, status="cancelled", error=error, end_time=self.clock.now())
                self.history.change_run(run)
        return run

    async def events(self, run_id: str, after: int, quiet_seconds: float) -> AsyncGenerator[list[Event], None]:
        run = msgspec.json.encode(public(await self.run(run_id)))
        kinds: list[Any] = ["status", "log", "end"]
        yield [Event(number, kind, run) for number, kind in enumerate(kinds, 1) if number > after]

    async def log_lines(self, run_id: str) -> AsyncGenerator[list[bytes], None]:
        yield self.lines

    async def delete(self, name: str, *, purge: bool, readable: Any = None) -> None:
        record = await asyncio.to_thread(self.pipelines.get, name)
        if record.id in self.going:
            raise errors.Conflict(f"'{name}' is being run", code="PIPELINE_RUNNING")
        await asyncio.to_thread(self.pipelines.delete, name, readable=readable)
        if purge:
            self.purged.append(name)


class Blocks:
    """A body in parts that notes whether it was closed."""

    def __init__(self, parts: list[bytes | Exception]) -> None:
        self.parts = parts
        self.closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.parts:
            raise StopAsyncIteration
        part = self.parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return part

    async def aclose(self) -> None:
        self.closed.set()


@dataclass
class Answer:
    media_type: str
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass
class Engine:
    """Answers with what it was asked, whole for JSON and in parts otherwise; or with ``failure``."""

    failure: Exception | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    last: Blocks | None = None
    total: int = 10
    media_type: str = "text/csv"
    parts: list[bytes] = field(default_factory=lambda: [b"first\n", b"second\n"])

    async def sql(self, statement: str, **options: Any) -> Answer:
        return self._answer("sql", {"statement": statement, **options})

    async def data(self, source: Any, **options: Any) -> Answer:
        return self._answer("data", {"source": source, **options})

    async def lookup(
        self, source: Any, key: list[str], kinds: list[Any], values: list[list[str]], **options: Any
    ) -> Answer:
        self.scopes.append(options.pop("scope", EVERYTHING))
        self.asked.append(("lookup", {"key": key, "kinds": kinds, "values": values, **options}))
        if self.failure is not None:
            raise self.failure
        found = b"" if options["only"] and values == [["404"]] else b'{"data": []}'
        return Answer("application/json", Blocks([found]), content=found)

    async def schema(self, source: Any, *, form: str = "json", scope: Scope = EVERYTHING) -> bytes:
        self._answer("schema", {"source": source, "format": "json", "form": form, "scope": scope})
        return b'{"version": 1, "columns": []}' if form == "json" else form.encode()

    def _next(self, options: dict[str, Any]) -> int | None:
        after = options["offset"] + (options["limit"] or 0)
        return after if options["limit"] and after < self.total else None

    def _answer(self, kind: str, options: dict[str, Any]) -> Answer:
        self.scopes.append(options.pop("scope", EVERYTHING))
        self.asked.append((kind, options))
        if self.failure is not None:
            raise self.failure
        page = {"total_rows": self.total, "next_offset": self._next(options)} if kind == "data" else {}
        content = msgspec.json.encode({"asked": kind, **options, **page})
        if options.get("rehearsal"):
            content = b'{"columns": [{"name": "a", "type": "BIGINT"}], "tables": [], "everything": false}'
        if options.get("format", "json") == "json":
            return Answer("application/json", Blocks([content]), content=content)
        self.last = Blocks(list(self.parts))
        return Answer(self.media_type, self.last)


@dataclass
class Tasks:
    """Answers with ``content``, or with ``failure``; remembers what it was asked, and what was given for it."""

    content: bytes = b""
    failure: Exception | None = None
    asked: list[Any] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    secret_names: frozenset[str] = frozenset({"KNOWN"})

    async def ask(self, task: Any, **given: Any) -> bytes:
        self.asked.append(task)
        self.given.append(given)
        if self.failure is not None:
            raise self.failure
        return self.content

    async def ask_about(self, pipeline: Any, task: Any, **_: Any) -> bytes:
        return await self.ask(task)

    async def stored(self, pipeline: Any, readable: Any = None) -> dict[int, Any]:
        return {}

    async def apply(self, version: Version, document: Any, request: ApplyRequest, *, seconds: float) -> ApplyAnswer:
        if version.fit_record is None:
            raise errors.Missing("it has no fit record", code="NO_DATA", field="version")
        content = await self.ask((version.version, await document(), request))
        return ApplyAnswer(content=content, dropped=3)
