"""The query worker, which runs in a child: it connects, reports that it is ready, answers one query and ends.

Everything that a user sends is parsed, checked, executed and encoded here. A JSON answer is complete before its first
byte is sent, so that an error is an error answer and not half a body. The streaming formats send their first batch as
soon as it exists; an error after that ends the stream early, and the API breaks the response off.

Imports only the engines: the forkserver preloads this module.
"""

# ruff: noqa: S608 - SQL is this package's trade: names are quoted, texts of users pass the gate

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import msgspec

from service.kit import errors
from service.model import query_parameters
from service.model.formats import FORMATS
from service.processes.channel import Channel
from service.query import messages
from service.query.child import data_select, describe, encode, schema_forms
from service.sandbox import confinement, gate, logical_types, quoting, snapshots
from service.sandbox.duckdb_errors import Translator, too_large
from service.sandbox.source import TableSource, WorkerSetup

_CHUNK = 256 << 10  # what a socket takes without much waiting
_decode_query = msgspec.msgpack.Decoder(messages.Query).decode
_decode_resolved = msgspec.msgpack.Decoder(messages.Resolved).decode


def serve(channel: Channel, order: bytes) -> None:
    """Entry function of the child; ``order`` is a ``WorkerSetup`` as msgpack."""
    setup = msgspec.msgpack.decode(order, type=WorkerSetup)
    connection = confinement.open_connection(setup)
    encode.warm_up(connection)
    channel.send(messages.READY)
    message = channel.receive()
    if message is None:
        return
    query = _decode_query(message)
    worker = QueryWorker(channel, setup, connection, query)
    try:
        worker.answer(query)
    except Gone:
        return
    except BaseException as error:
        with contextlib.suppress(OSError):
            channel.send(messages.FAILED + msgspec.msgpack.encode(worker.failure(error).as_body()))


class Gone(Exception):
    """The API closed the channel."""


class QueryWorker:
    """Answers one query on one connection."""

    def __init__(
        self, channel: Channel, setup: WorkerSetup, connection: duckdb.DuckDBPyConnection, query: messages.Query
    ) -> None:
        self._channel = channel
        self._setup = setup
        self._connection = connection
        self._seconds = query.seconds
        self._translate = Translator(
            roots=(setup.warehouse, setup.spill, str(Path(setup.warehouse).parent), sys.prefix, sys.base_prefix),
            memory_bytes=setup.memory_bytes,
            seconds=query.seconds,
        )

    def failure(self, error: BaseException) -> errors.PenstockError:
        """An exception of any kind as an error of the product."""
        if isinstance(error, errors.PenstockError):
            return error
        if isinstance(error, duckdb.Error | encode.Interrupted):
            return self._translate(error)
        if isinstance(error, MemoryError):
            return too_large(self._setup.memory_bytes)
        if isinstance(error, RecursionError):
            return gate.invalid("the statement is nested too deeply")
        return errors.PenstockError(f"the query worker could not encode the answer ({type(error).__name__})")

    def answer(self, query: messages.Query) -> None:
        if isinstance(query, messages.SqlQuery):
            self._sql(query)
        elif isinstance(query, messages.DataQuery):
            self._data(query)
        else:
            relation = self._confine([query.source])[query.source.table]
            if query.form == "json":
                body = describe.describe(self._connection, query.source, relation.sql, self._setup.warehouse)
            else:
                body = schema_forms.write(self._connection, query.source, relation, query.form)
            self._whole("json", [body])

    def _sql(self, query: messages.SqlQuery) -> None:
        started = time.perf_counter()
        try:
            accepted = gate.accept(self._connection, query.statement)
        except duckdb.Error as error:
            raise self._translate(error, statement=query.statement) from None
        self._resolve(accepted)
        if query.types is not None and isinstance(query.parameters, dict):
            typed = query_parameters.converted(query.parameters, query.types)
            query = msgspec.structs.replace(query, parameters=typed)
        rows = self._bound(accepted, query)
        if query.rehearsal:
            found = {"columns": rows.columns, "tables": list(accepted.tables), "everything": accepted.everything}
            self._whole("json", [msgspec.json.encode(found)])
            return
        if query.format != "json":
            self._stream(
                query.format, encode.stream(rows, query.format, query.limit, escape_formulas=query.escape_formulas)
            )
            return
        if query.limit is not None:
            rows = encode.Rows(
                rows.connection,
                f"SELECT * FROM ({rows.sql}\n) AS q LIMIT {query.limit + 1}",
                rows.names,
                rows.types,
                rows.parameters,
            )
        records = encode.JsonRecords.read(rows, query.limit, query.max_bytes)
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        after = {"row_count": records.count, "truncated": records.truncated, "elapsed_ms": elapsed}
        self._whole("json", encode.document({"columns": rows.columns}, records, after))

    def _resolve(self, accepted: gate.Accepted) -> None:
        """Ask the API for the tables that the statement names, and attach only those."""
        if not accepted.tables and not accepted.everything:
            self._confine([])
            return
        need = messages.Need(accepted.tables, accepted.everything)
        self._send(messages.NEED + msgspec.msgpack.encode(need))
        message = self._channel.receive()
        if message is None:
            raise Gone
        resolved = _decode_resolved(message)
        snapshots.load(self._connection, resolved.snapshots)
        wanted = {n.casefold() for n in accepted.tables}
        named = [s for s in resolved.sources if s.table.casefold() in wanted]
        self._confine(named, [s.table for s in resolved.sources] if accepted.everything else [])

    def _bound(self, accepted: gate.Accepted, query: messages.SqlQuery) -> encode.Rows:
        """Bind the SELECT. The position in an error is one in the user's statement."""
        try:
            rows = encode.Rows.of(self._connection, accepted.select, query.parameters)
            if accepted.explain is None:
                return rows
            plan = self._connection.execute(f"{accepted.explain} {accepted.select}", query.parameters).fetchall()
        except duckdb.Error as error:
            raise self._located(error, accepted, query) from None
        lines = [line for row in plan for line in str(row[1]).splitlines()]
        values = ", ".join(f"({i}, {quoting.literal(line)})" for i, line in enumerate(lines)) or "(0, '')"
        return encode.Rows.of(self._connection, f"SELECT plan FROM (VALUES {values}) AS p(line, plan) ORDER BY line")

    def _located(self, error: duckdb.Error, accepted: gate.Accepted, query: messages.SqlQuery) -> errors.PenstockError:
        """The error with its position, which the relation API loses; executing the statement reports it."""
        if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
            try:
                self._connection.execute(f"EXPLAIN {accepted.select}", query.parameters)
            except duckdb.Error as again:
                return self._translate(again, statement=query.statement, shift=len("EXPLAIN "))
        return self._translate(error)

    def _data(self, query: messages.DataQuery) -> None:
        relation = self._confine([query.source], keep_order=True)[query.source.table]
        plain = query.columns is None and query.filter is None and query.sort is None
        relayed = all(map(logical_types.is_read_as_stored, relation.logical.values()))
        if query.format == "parquet" and plain and relayed and self._single(query):
            self._stream("parquet", self._stored(query.source.parts[0]))
            return
        known = self._connection.sql(f"FROM {quoting.quoted(query.source.table)}").columns
        chosen = data_select.chosen(query.columns, known)
        where = data_select.filtered(self._connection, query.filter, known)
        order = data_select.ordered(query.sort, known, relation)
        binary = FORMATS[query.format].binary
        columns = ", ".join(data_select.column(name, relation, as_stored=binary) for name in chosen)
        rows_of = relation.with_stored or relation.sql
        sql = f"SELECT {columns} FROM {rows_of}{where}{order}"
        try:
            if query.format == "json":
                self._page(query, relation, sql, where)
                return
            rows = encode.Rows.of(self._connection, sql + (f" OFFSET {query.offset}" if query.offset else ""))
            if binary:
                types = {n: t for n, t in relation.logical.items() if logical_types.is_read_as_stored(t)}
                rows = dataclasses.replace(rows, stored_types=types)
            self._stream(
                query.format, encode.stream(rows, query.format, query.limit, escape_formulas=query.escape_formulas)
            )
        except (duckdb.Error, encode.Interrupted) as error:
            raise self._translate(error, field="filter" if where else None) from None

    def _page(self, query: messages.DataQuery, relation: confinement.Relation, sql: str, where: str) -> None:
        limit = query.limit if query.limit is not None else query.source.rows
        total = query.source.rows
        if where:
            total = int(self._connection.execute(f"SELECT count(*) FROM {relation.sql}{where}").fetchall()[0][0])
        # LIMIT takes hundreds of MB for thousands of columns; without a sort, reading can stop early
        cut = f" LIMIT {limit}" if query.sort else ""
        rows = encode.Rows.of(self._connection, f"{sql}{cut} OFFSET {query.offset}")
        records = encode.JsonRecords.read(rows, limit, query.max_bytes)
        after_this = query.offset + records.count
        source = query.source
        before = {"pipeline": source.pipeline, "version": source.version, **query.about, "columns": rows.columns}
        after = {
            "row_count": records.count,
            "total_rows": total,
            "limit": limit,
            "offset": query.offset,
            "next_offset": after_this if records.count and after_this < total else None,
        }
        self._whole("json", encode.document(before, records, after))

    @staticmethod
    def _single(query: messages.DataQuery) -> bool:
        return len(query.source.parts) == 1 and query.limit is None and query.offset == 0

    def _stored(self, part: str) -> Iterator[bytes]:
        """The Parquet file of a version of one part, which is the answer as it is."""
        path = Path(self._setup.warehouse) / confinement.relative(part, self._setup.warehouse)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

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
        head = messages.Head(FORMATS[format_].media_type, whole)
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
