"""Worker: the entry of a query child. It connects, says that it is ready, takes one job, answers, ends.

Everything a user sends is parsed, checked, executed and encoded here. A JSON answer is built whole before its
first byte leaves, so that an error is an error and not half a body; the streaming formats send their first
batch when it is there, and an error after that ends the stream early (the API then breaks the response off).

Imports nothing but the engines: the forkserver preloads this module.
"""

# ruff: noqa: S608 - SQL is this package's trade: names are quoted, texts of users pass the gate

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import msgspec

from service.kit import errors
from service.processes.channel import Channel
from service.query import messages
from service.query.child import data_select, describe, encode
from service.sandbox import confinement, gate, quoting
from service.sandbox.duckdb_errors import Translator, too_large
from service.sandbox.source import TableSource, WorkerSetup

_CHUNK = 256 << 10  # what a socket takes without much waiting
_decode_job = msgspec.msgpack.Decoder(messages.Query).decode
_decode_resolved = msgspec.msgpack.Decoder(messages.Resolved).decode


def serve(channel: Channel, order: bytes) -> None:
    """Entry function of the child; ``order`` is a ``messages.Order``."""
    setup = msgspec.msgpack.decode(order, type=WorkerSetup)
    connection = confinement.open_connection(setup)
    encode.rehearse(connection)
    channel.send(messages.READY)
    message = channel.receive()
    if message is None:
        return
    asked = _decode_job(message)
    worker = QueryWorker(channel, setup, connection, asked)
    try:
        worker.answer(asked)
    except Gone:
        return
    except BaseException as error:
        with contextlib.suppress(OSError):
            channel.send(messages.FAILED + msgspec.msgpack.encode(worker.failure(error).as_body()))


class Gone(Exception):
    """The API is gone, or has heard enough."""


class QueryWorker:
    """One job of one connection."""

    def __init__(
        self, channel: Channel, setup: WorkerSetup, connection: duckdb.DuckDBPyConnection, asked: messages.Query
    ) -> None:
        self._channel = channel
        self._setup = setup
        self._connection = connection
        self._seconds = asked.seconds
        self._translate = Translator(
            roots=(setup.warehouse, setup.spill, str(Path(setup.warehouse).parent), sys.prefix, sys.base_prefix),
            memory_bytes=setup.memory_bytes,
            seconds=asked.seconds,
        )

    def failure(self, error: BaseException) -> errors.PenstockError:
        """Whatever went wrong, as one of our errors."""
        if isinstance(error, errors.PenstockError):
            return error
        if isinstance(error, duckdb.Error | encode.Interrupted):
            return self._translate(error)
        if isinstance(error, MemoryError):
            return too_large(self._setup.memory_bytes)
        if isinstance(error, RecursionError):
            return gate.invalid("the statement is nested too deeply")
        return errors.PenstockError(f"the query worker could not encode the answer ({type(error).__name__})")

    def answer(self, asked: messages.Query) -> None:
        if isinstance(asked, messages.SqlQuery):
            self._sql(asked)
        elif isinstance(asked, messages.DataQuery):
            self._data(asked)
        else:
            relation = self._confine([asked.source])[asked.source.table]
            body = describe.describe(self._connection, asked.source, relation.sql, self._setup.warehouse)
            self._whole("json", [body])

    # -- SQL ----------------------------------------------------------------------------------------

    def _sql(self, asked: messages.SqlQuery) -> None:
        started = time.perf_counter()
        try:
            accepted = gate.accept(self._connection, asked.statement)
        except duckdb.Error as error:
            raise self._translate(error, statement=asked.statement) from None
        self._resolve(accepted)
        rows = self._bound(accepted, asked)
        if asked.format != "json":
            self._stream(
                asked.format, encode.stream(rows, asked.format, asked.limit, escape_formulas=asked.escape_formulas)
            )
            return
        if asked.limit is not None:
            rows = encode.Rows(
                rows.connection,
                f"SELECT * FROM ({rows.sql}\n) AS q LIMIT {asked.limit + 1}",
                rows.names,
                rows.types,
                rows.parameters,
            )
        records = encode.JsonRecords.read(rows, asked.limit, asked.max_bytes)
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        after = {"row_count": records.count, "truncated": records.truncated, "elapsed_ms": elapsed}
        self._whole("json", encode.document({"columns": rows.columns}, records, after))

    def _resolve(self, accepted: gate.Accepted) -> None:
        """Ask the API for the tables that the statement names, and attach just those."""
        if not accepted.tables and not accepted.everything:
            self._confine([])
            return
        need = messages.Need(accepted.tables, accepted.everything)
        self._send(messages.NEED + msgspec.msgpack.encode(need))
        message = self._channel.receive()
        if message is None:
            raise Gone
        resolved = _decode_resolved(message)
        wanted = {n.casefold() for n in accepted.tables}
        named = [s for s in resolved.sources if s.table.casefold() in wanted]
        self._confine(named, [s.table for s in resolved.sources] if accepted.everything else [])

    def _bound(self, accepted: gate.Accepted, asked: messages.SqlQuery) -> encode.Rows:
        """Bind the SELECT. A place in an error is counted in the user's statement."""
        try:
            rows = encode.Rows.of(self._connection, accepted.select, asked.parameters)
            if accepted.explain is None:
                return rows
            plan = self._connection.execute(f"{accepted.explain} {accepted.select}", asked.parameters).fetchall()
        except duckdb.Error as error:
            raise self._located(error, accepted, asked) from None
        lines = [line for row in plan for line in str(row[1]).splitlines()]
        values = ", ".join(f"({i}, {quoting.literal(line)})" for i, line in enumerate(lines)) or "(0, '')"
        return encode.Rows.of(self._connection, f"SELECT plan FROM (VALUES {values}) AS p(line, plan) ORDER BY line")

    def _located(self, error: duckdb.Error, accepted: gate.Accepted, asked: messages.SqlQuery) -> errors.PenstockError:
        """The relation API forgets where a binder error is; the same statement, executed, says it."""
        if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
            try:
                self._connection.execute(f"EXPLAIN {accepted.select}", asked.parameters)
            except duckdb.Error as again:
                return self._translate(again, statement=asked.statement, shift=len("EXPLAIN "))
        return self._translate(error)

    # -- data ---------------------------------------------------------------------------------------

    def _data(self, asked: messages.DataQuery) -> None:
        relation = self._confine([asked.source], keep_order=True)[asked.source.table]
        plain = asked.columns is None and asked.filter is None and asked.sort is None
        if asked.format == "parquet" and plain and self._single(asked):
            self._stream("parquet", self._stored(asked.source.parts[0]))
            return
        known = self._connection.sql(f"FROM {quoting.quoted(asked.source.table)}").columns
        chosen = data_select.chosen(asked.columns, known)
        where = data_select.filtered(self._connection, asked.filter, known)
        order = data_select.ordered(asked.sort, known, relation)
        columns = ", ".join(quoting.quoted(n) for n in chosen)
        sql = f"SELECT {columns} FROM {relation.sql}{where}{order}"
        try:
            if asked.format == "json":
                self._page(asked, relation, sql, where)
                return
            rows = encode.Rows.of(self._connection, sql + (f" OFFSET {asked.offset}" if asked.offset else ""))
            self._stream(
                asked.format, encode.stream(rows, asked.format, asked.limit, escape_formulas=asked.escape_formulas)
            )
        except (duckdb.Error, encode.Interrupted) as error:
            raise self._translate(error, field="filter" if where else None) from None

    def _page(self, asked: messages.DataQuery, relation: confinement.Relation, sql: str, where: str) -> None:
        limit = asked.limit if asked.limit is not None else asked.source.rows
        total = asked.source.rows
        if where:
            total = int(self._connection.execute(f"SELECT count(*) FROM {relation.sql}{where}").fetchall()[0][0])
        # LIMIT keeps hundreds of MB for thousands of columns; without a sort, reading can end as soon
        cut = f" LIMIT {limit}" if asked.sort else ""
        rows = encode.Rows.of(self._connection, f"{sql}{cut} OFFSET {asked.offset}")
        records = encode.JsonRecords.read(rows, limit, asked.max_bytes)
        after_this = asked.offset + records.count
        source = asked.source
        before = {"pipeline": source.pipeline, "version": source.version, **asked.about, "columns": rows.columns}
        after = {
            "row_count": records.count,
            "total_rows": total,
            "limit": limit,
            "offset": asked.offset,
            "next_offset": after_this if records.count and after_this < total else None,
        }
        self._whole("json", encode.document(before, records, after))

    @staticmethod
    def _single(asked: messages.DataQuery) -> bool:
        return len(asked.source.parts) == 1 and asked.limit is None and asked.offset == 0

    def _stored(self, part: str) -> Iterator[bytes]:
        """A version in one part is already what was asked for."""
        path = Path(self._setup.warehouse) / confinement.relative(part, self._setup.warehouse)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    # -- answers ------------------------------------------------------------------------------------

    def _confine(
        self, sources: list[TableSource], stubs: list[str] | None = None, *, keep_order: bool = False
    ) -> dict[str, confinement.Relation]:
        return confinement.confine(
            self._connection,
            sources,
            warehouse=self._setup.warehouse,
            seconds=self._seconds,
            stubs=stubs or (),
            keep_order=keep_order,
        )

    def _send(self, message: bytes) -> None:
        try:
            self._channel.send(message)
        except OSError:
            raise Gone from None

    def _head(self, format_: str, whole: bool) -> None:
        head = messages.Head(messages.MEDIA_TYPES[format_], whole)
        self._send(messages.HEAD + msgspec.msgpack.encode(head))

    def _whole(self, format_: str, chunks: list[bytes]) -> None:
        self._head(format_, whole=True)
        self._body(chunks)

    def _stream(self, format_: str, chunks: Iterator[bytes]) -> None:
        first = next(chunks, b"")
        self._head(format_, whole=False)
        self._body(itertools.chain((first,), chunks))

    def _body(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            for start in range(0, len(chunk), _CHUNK):
                self._send(messages.BODY + chunk[start : start + _CHUNK])
        self._send(messages.DONE)
