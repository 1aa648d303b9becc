"""The query engine: the API's side of query workers. It relays bytes and enforces deadlines; it parses no user input.

A worker that has answered is kept for the next query over sources that it may read. A worker reports which tables a
statement names; the engine remembers it, so that the same text goes to the right worker at once. A deadline ends a
worker with SIGKILL, since nothing else stops a query that is being planned.

A worker that dies without a message reached its memory limit or crashed, which are errors of the query, or was killed
from outside, which is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from service.files.layout import Layout
from service.kit import errors
from service.kit.settings import Settings
from service.model.formats import FORMATS
from service.model.query_parameters import Kind
from service.processes import landlock
from service.processes.pipe import Pipe
from service.processes.places import Place, Places, share
from service.query import extent, messages, query_meter, wanted, worker_end
from service.query.answer import Answer
from service.query.messages import Resolved
from service.query.pool import Group, Pool, PooledWorker
from service.query.readings import Readings
from service.query.results import Key, Results, is_repeatable, key_of, timed
from service.query.scope import EVERYTHING, Scope
from service.query.sorted_copies import SortedCopies
from service.query.spool import SpoolDisk
from service.query.stream import Finish, Streams
from service.query.wanted import RecentTables, Resolve, Statements
from service.sandbox.duckdb_errors import timed_out
from service.sandbox.source import TableSource
from service.telemetry.metrics import Metrics

_MIB = 1 << 20
_MOST_STREAMS = 64  # that clients read at the same time; each may hold some MiB here
_DISMISSED = msgspec.msgpack.encode(messages.Dismissed())


class Engine:
    """Answers SQL, data and schema. Sizes are bytes, times seconds.

    ``level`` is the Landlock version of the kernel (None: ask the kernel). Without Landlock, statements of users are
    refused unless ``allow_unconfined``; data and schema, whose SQL is the product's, are answered.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        resolve: Resolve,
        timeout_seconds: float = 30.0,
        stream_seconds: float = 3600.0,
        memory_bytes: int = 1024 * _MIB,
        spill_bytes: int = 1024 * _MIB,
        max_concurrent: int = 4,
        max_waiting: int = 64,
        spool_bytes: int = 4096 * _MIB,
        user_share: float = 1.0,
        max_rows: int = 100_000,
        max_bytes: int = 32 * _MIB,
        cache_bytes: int = 0,
        level: int | None = None,
        allow_unconfined: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        self._level = landlock.abi() if level is None else level
        self._allow_unconfined = allow_unconfined
        self.metrics = metrics or Metrics()
        self._resolve = resolve
        self._timeout = timeout_seconds
        self._stream_seconds = stream_seconds
        self._memory = memory_bytes
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._layout = layout
        self._reading: dict[PooledWorker, list[TableSource]] = {}
        self._waiting = Readings(layout)
        self._statements = Statements()
        self._recent = RecentTables()
        self._results = Results(cache_bytes)
        self._copies = SortedCopies(layout, self.data, spool_bytes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams = Streams(
            Places(_MOST_STREAMS, each=share(_MOST_STREAMS, user_share), queue=max_waiting, what="downloads"),
            SpoolDisk(layout.spill, spool_bytes, int(spool_bytes * user_share)),
            stream_seconds,
        )
        self._pool = Pool(
            layout, memory_bytes=memory_bytes, spill_bytes=spill_bytes, max_concurrent=max_concurrent,
            per_caller=share(max_concurrent, user_share), max_waiting=max_waiting, wait_seconds=timeout_seconds,
            most_seconds=max(timeout_seconds, stream_seconds) + 1, sandbox=self._level > 0,
        )  # fmt: skip

    @classmethod
    def configured(cls, layout: Layout, resolve: Resolve, settings: Settings, metrics: Metrics) -> Engine:
        """The engine as the settings have it."""
        return cls(
            layout=layout, resolve=resolve, timeout_seconds=settings.query_timeout_seconds,
            memory_bytes=settings.query_memory_limit, spill_bytes=settings.query_memory_limit,
            max_concurrent=settings.max_concurrent_queries, max_waiting=settings.max_queued_queries,
            spool_bytes=settings.spool_limit, user_share=settings.user_share, cache_bytes=settings.query_cache_bytes,
            allow_unconfined=settings.allow_unsandboxed_sql, metrics=metrics,
        )  # fmt: skip

    @property
    def level(self) -> int:
        """The Landlock version that confines the workers; 0: the kernel has no Landlock."""
        return self._level

    @property
    def waiting(self) -> dict[str, int]:
        """How many ``queries`` wait for a worker, and how many wait to be ``downloads``."""
        return {"queries": self._pool.waiting, "downloads": self._streams.waiting}

    @property
    def workers(self) -> dict[str, int]:
        """How many workers are ``busy``, and how many are ``kept``."""
        return self._pool.workers

    async def sql(
        self,
        statement: str,
        *,
        parameters: list[Any] | dict[str, Any] | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
        format: str = "json",
        escape_formulas: bool = True,
        types: dict[str, Kind] | None = None,
        rehearsal: bool = False,
        scope: Scope = EVERYTHING,
    ) -> Answer:
        """Answer one statement of a user. ``limit`` None: 1000 rows of JSON, all rows of a streaming format.

        With ``types``, parameters are texts that the worker converts. A ``rehearsal`` executes nothing
        (``messages.Rehearsal``). ``scope`` is what the caller may read.

        Raises ``errors.Invalid`` (INVALID_SQL, SQL_NOT_ALLOWED, QUERY_TOO_LARGE; ``field`` sql), ``errors.TimedOut``,
        ``errors.NotAcceptable``, ``errors.Unavailable``, and ``errors.Forbidden`` if workers are unconfined.
        """
        if not (self._level or self._allow_unconfined):
            raise errors.Forbidden(
                "this kernel has no Landlock to confine query workers, so SQL is refused; "
                "run on Linux 5.13 or later, or let the operator of the service allow unconfined SQL"
            )
        extent.known_format(format)
        if len(statement) > 65_536:  # a longer one is not sent; the worker counts bytes
            raise errors.Invalid("the statement is longer than 65536 bytes", code="SQL_NOT_ALLOWED", field="sql")
        seconds = self._seconds(timeout_seconds)
        query = messages.SqlQuery(
            statement, format, extent.rows(limit, format, self._max_rows), self._max_bytes,
            self._stream_seconds if FORMATS[format].streamed else seconds, parameters, escape_formulas, types,
            rehearsal,
        )  # fmt: skip
        try:
            need = self._statements.need(scope, statement)
            if need is not None:
                query = msgspec.structs.replace(query, known=await wanted.needed(need, self._resolve, scope))
            return await self._answer(query, Group(scope), query.known, seconds)
        except errors.Invalid as error:  # what refuses a statement knows no request
            error.details.setdefault("field", "sql")
            raise

    async def data(
        self, source: TableSource, *, columns: list[str] | None = None, filter: str | None = None,
        sort: str | None = None, limit: int | None = None, offset: int = 0, format: str = "json",
        escape_formulas: bool = True, about: dict[str, Any] | None = None, scope: Scope = EVERYTHING,
    ) -> Answer:  # fmt: skip
        """The rows of one source. ``about`` is added to a page of JSON as it is.

        Raises as ``sql``, and ``errors.Invalid`` with ``field`` columns, filter or sort.
        """
        extent.known_format(format)
        if offset < 0:
            raise errors.Invalid("offset: must not be negative", field="offset")
        seconds = self._stream_seconds if FORMATS[format].streamed else self._timeout
        if format == "json" and (filter or sort):
            copy = await self._copies.of(source, filter=filter, sort=sort, offset=offset, scope=scope)
            source, filter, sort = (copy, None, None) if copy is not None else (source, filter, sort)
        query = messages.DataQuery(
            wanted.pinned(source, scope), format, extent.rows(limit, format, self._max_rows), offset, self._max_bytes,
            seconds, columns, filter, sort, escape_formulas, about or {},
        )  # fmt: skip
        return await self._answer(query, Group(scope, filter is not None), Resolved([query.source]), self._timeout)

    async def lookup(
        self, source: TableSource, key: list[str], kinds: list[Kind], values: list[list[str]], *,
        columns: list[str] | None = None, only: bool = False, format: str = "json", escape_formulas: bool = True,
        scope: Scope = EVERYTHING,
    ) -> Answer:  # fmt: skip
        """Rows of one source by key (``messages.LookupQuery``); the answer is whole. Raises as ``data``."""
        extent.known_format(format)
        query = messages.LookupQuery(
            wanted.pinned(source, scope), key, kinds, values, format, self._max_bytes, self._timeout, columns, only,
            escape_formulas,
        )  # fmt: skip
        return await self._answer(query, Group(scope), Resolved([query.source]), self._timeout)

    async def schema(self, source: TableSource, *, form: str = "json", scope: Scope = EVERYTHING) -> bytes:
        """Columns and statistics of one source, as JSON; or its columns in another of ``SCHEMA_FORMATS``."""
        query = messages.SchemaQuery(wanted.pinned(source, scope), self._timeout, form)
        answer = await self._answer(query, Group(scope), Resolved([query.source]), self._timeout)
        return answer.content or b""

    def reads(self, folder: Path) -> bool:
        """Whether a query reads the version in ``folder``, or soon will. Workers that merely may read it are let go."""

        def inside(source: TableSource) -> bool:
            return self._layout.version(source.pipeline, source.version) == folder

        if self._waiting.reads(inside) or any(inside(source) for taken in self._reading.values() for source in taken):
            return True
        self._recent.forget(inside)
        self._results.forget(inside)
        self._copies.forget(inside)
        self._pool.let_go(inside)
        return False

    def follow_soon(self) -> None:
        """A version was published: let the workers go that have an older one. Any thread may call it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has stopped
                self._loop.call_soon_threadsafe(self._start_to_follow)

    def _start_to_follow(self) -> None:
        self._pool.task(self._follow())

    async def _follow(self) -> None:
        for name in self._recent.names():
            with contextlib.suppress(errors.PenstockError):
                for newest in map(wanted.named, (await self._resolve([name], None)).sources):
                    self._recent.replace(newest)
                    self._pool.let_go(functools.partial(wanted.is_older, newest=newest))

    async def warm(self) -> None:
        """Start the spare worker, so that the first query need not wait for it."""
        self._loop = asyncio.get_running_loop()
        await self._pool.warm()

    async def close(self) -> None:
        """End every worker and remove its files."""
        await self._copies.close()
        await self._pool.close()

    def _seconds(self, wanted: float | None) -> float:
        if wanted is None:
            return self._timeout
        if not 0 < wanted <= self._timeout:
            raise errors.Invalid(
                f"timeout_seconds: must be more than 0 and at most {self._timeout:g}", field="timeout_seconds"
            )
        return wanted

    @query_meter.timed
    async def _answer(self, query: messages.Query, group: Group, known: Resolved | None, seconds: float) -> Answer:
        """The answer over ``known`` sources; None: those that a worker finds in the statement."""
        if (key := key_of(query, group.scope)) is not None:
            began = time.perf_counter()
            if (kept := self._results.get(key)) is not None:
                content = timed(kept[1], time.perf_counter() - began)
                return Answer.whole(kept[0], content)
        with self._waiting.of(known.sources if known is not None else []) as reading:
            if isinstance(query, messages.SchemaQuery) or not FORMATS[query.format].streamed:
                return await self._asked(query, group, known, seconds, reading, key=key)
            place = await self._streams.place(seconds)
            try:
                answer = await self._asked(query, group, known, seconds, reading, place)
            except BaseException:
                place.release()
                raise
            if answer.content is not None:
                place.release()
            return answer

    async def _asked(
        self, query: messages.Query, group: Group, known: Resolved | None, seconds: float, reading: list[TableSource],
        place: Place | None = None, key: Key | None = None,
    ) -> Answer:  # fmt: skip
        """The answer of a worker; ``place`` is that of a stream, ``reading`` takes what the statement names.

        ``key`` is that of the answer, if it is known.
        """
        sources = known.sources if known is not None else None
        worker = await self._pool.take(group, sources, streamed=place is not None)
        end = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(end):
                blank = await self._begin(worker, query, group, sources)
                kind, payload = await self._message(worker)
                while kind == messages.NEED:
                    need = msgspec.msgpack.decode(payload, type=messages.Need)
                    try:
                        known = await wanted.needed(need, self._resolve, group.scope)
                        reading += known.sources
                    except errors.PenstockError:
                        if not blank:
                            await self._dismiss(worker)
                            self._finish(worker, free=True)
                        raise
                    if isinstance(query, messages.SqlQuery) and not need.everything:
                        self._statements.remember(group.scope, query.statement, need)
                        query = msgspec.structs.replace(query, known=known)
                        key = key_of(query, group.scope)
                    if need.only_names:
                        await worker.child.send(msgspec.msgpack.encode(known))
                    elif blank or (not need.everything and worker.holds(known.sources)):
                        self._reads(worker, group, known.sources)
                        await worker.child.send(msgspec.msgpack.encode(known))
                    else:
                        await self._dismiss(worker)
                        self._reading.pop(worker, None)
                        worker = await self._pool.exchange(worker, group, known.sources, blank=need.everything)
                        blank = await self._begin(worker, query, group, None if need.everything else known.sources)
                    kind, payload = await self._message(worker)
                pipe = Pipe(worker.spill) if kind == messages.HEAD else None
        except TimeoutError:
            self._finish(worker)
            raise timed_out(seconds) from None
        except BaseException:
            self._finish(worker)
            raise
        if pipe is None or place is None:
            media_type, content, free = messages.opened(payload)
            self._finish(worker, free=free)
            if key is not None and is_repeatable(query):
                self._results.put(key, media_type, content, known.sources if known is not None else [])
            return Answer.whole(media_type, content)
        left = max(end - asyncio.get_running_loop().time(), 1.0)
        finish = Finish(functools.partial(self._finish, worker))
        body = self._streams.opened(self._parts(worker, pipe, finish), pipe, place, finish=finish, seconds=left)
        return Answer(msgspec.msgpack.decode(payload, type=messages.Head).media_type, body)

    async def _begin(
        self, worker: PooledWorker, query: messages.Query, group: Group, sources: list[TableSource] | None
    ) -> bool:
        """Send the query; whether the worker has no sources yet, and gets those of late with it."""
        blank = worker.sources is None
        if blank:
            others = self._recent.of(group.scope)
            worker.sources = {s.table: s for s in others}
            query = msgspec.structs.replace(query, others=others)
        self._reads(worker, group, sources or [])
        try:
            await worker.child.send(msgspec.msgpack.encode(query))
        except (ConnectionError, OSError):
            raise errors.Unavailable("the query worker was lost before it began; try again") from None
        return blank

    async def _dismiss(self, worker: PooledWorker) -> None:
        with contextlib.suppress(ConnectionError, OSError):  # the pool notices its end
            await worker.child.send(_DISMISSED)

    def _reads(self, worker: PooledWorker, group: Group, sources: list[TableSource]) -> None:
        """Note what a worker reads for its present query."""
        self._recent.note(group.scope, sources)
        self._reading[worker] = sources
        if worker.sources is not None:
            worker.sources |= {s.table: s for s in sources}

    def _finish(self, worker: PooledWorker, *, free: bool = False) -> None:
        self._reading.pop(worker, None)
        self._pool.finish(worker, free=free)

    async def _parts(self, worker: PooledWorker, pipe: Pipe, finish: Finish) -> AsyncIterator[bytes]:
        """What comes out of the pipe; then the worker says how it ended."""
        while part := await pipe.read():
            yield part
        try:
            _, payload = await self._message(worker)
        except errors.PenstockError:
            finish()  # it is given back already, and may work for another query soon
            raise
        finish(free=payload == messages.FREE)

    async def _message(self, worker: PooledWorker) -> tuple[bytes, bytes]:
        """The next message. Raises the error that the worker reports, or that of its death."""
        message = await worker.receive()
        if message is None:
            raise worker_end.explained(worker, await worker.child.wait(), self._memory)
        kind, payload = message
        if kind == messages.FAILED:
            self._finish(worker, free=payload[:1] == messages.FREE)
            raise errors.from_body(msgspec.msgpack.decode(payload[1:], type=errors.Body))
        return message
