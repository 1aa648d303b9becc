"""The answer to one query: the sources that it needs, its SQL, and its rows in the format that was asked for.

A JSON answer is complete before its first byte is sent, so that an error is an error answer and not half a body. The
streaming formats send their first batch as soon as it exists; an error after that ends the stream early, and the API
breaks the response off.
"""

# ruff: noqa: S608 - SQL is this package's trade: names are quoted, texts of users pass the gate

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import duckdb
import msgspec

from service.kit import errors
from service.model import query_parameters
from service.model.formats import FORMATS
from service.processes import pipe
from service.query import messages
from service.query.child import arrow_export, data_select, describe, encode, exports, schema_forms
from service.query.child.arrow_export import ArrowExport
from service.query.child.judged import Columns, Judged, Judgements, shape
from service.query.child.lookup import Lookup
from service.sandbox import bound_plan, confinement, gate, logical_types, quoting
from service.sandbox.duckdb_errors import Translator
from service.sandbox.source import TableSource, WorkerSetup

_READ_ONLY = "BEGIN TRANSACTION READ ONLY"
_MOST_SHAPES = 16
_NOT_BOUND = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
_CHUNK = 1 << 20
_SMALL = 64 << 10
_FEW = 10_000  # rows that DuckDB finds and writes sooner


class Gone(Exception):
    """The API closed the channel."""


class Worker(Protocol):
    """What a query needs of its worker. Its methods raise ``Gone``."""

    setup: WorkerSetup
    judgements: Judgements

    def send(self, message: bytes) -> None: ...

    def resolved(self, need: messages.Need) -> messages.Resolved | None: ...

    def load(self, tables: Mapping[str, bytes]) -> None: ...

    def columns(self, table: str) -> Columns: ...

    def is_dense(self, table: str) -> bool: ...

    def stand_in(self, tables: Iterable[str]) -> None: ...

    def confined(
        self, wanted: list[TableSource], others: list[TableSource], *, keep_order: bool = False,
        stubs: Sequence[str] = (),
    ) -> dict[str, confinement.Relation]: ...  # fmt: skip


class Answering:
    """Answers one query on ``cursor``, which is its own. ``has_executed``: DuckDB was asked for rows of it."""

    def __init__(self, worker: Worker, cursor: duckdb.DuckDBPyConnection, translate: Translator) -> None:
        self.media_type = ""
        self.has_executed = False
        self._worker = worker
        self._cursor = cursor
        self._translate = translate
        self._relations: dict[str, confinement.Relation] = {}
        self._tables: list[str] = []

    def close(self) -> None:
        """Drop everything that the session holds; its transaction is rolled back."""
        self._cursor.close()

    def _confined(
        self, wanted: list[TableSource], others: list[TableSource], *, keep_order: bool = False,
        stubs: Sequence[str] = (),
    ) -> dict[str, confinement.Relation]:  # fmt: skip
        """As ``Worker.confined``; from then on the session cannot change what other sessions see."""
        self._relations = self._worker.confined(wanted, others, keep_order=keep_order, stubs=stubs)
        self._cursor.execute(_READ_ONLY)
        return self._relations

    def _again(self) -> None:
        """Go on after an error."""
        self._cursor.rollback()
        self._cursor.execute(_READ_ONLY)

    def answer(self, query: messages.Query) -> list[bytes] | None:
        """The whole answer; empty if it was streamed, None if another worker answers. Raises what went wrong."""
        if isinstance(query, messages.SqlQuery):
            return self._sql(query)
        if isinstance(query, messages.DataQuery):
            return self._data(query)
        if isinstance(query, messages.LookupQuery):
            return self._lookup(query)
        relation = self._confined([query.source], query.others)[query.source.table]
        if query.form == "json":
            body = describe.describe(self._cursor, query.source, relation.sql, self._worker.setup.warehouse)
        else:
            table = query.source.table.partition("@")[0]
            named = msgspec.structs.replace(query.source, table=table)
            body = schema_forms.write(self._cursor, named, relation, query.form)
        return self._whole("json", [body])

    def _sql(self, query: messages.SqlQuery) -> list[bytes] | None:
        started = time.perf_counter()
        try:
            select, judged = self._worker.judgements.of(self._cursor, query.statement)
        except duckdb.Error as error:
            raise self._translate(error, statement=query.statement) from None
        if not self._may_read(judged, query):
            return None
        if judged.only_names:
            select = _listed(self._tables)
        if query.types is not None and isinstance(query.parameters, dict):
            typed = query_parameters.converted(query.parameters, query.types)
            query = msgspec.structs.replace(query, parameters=typed)
        if not (judged.is_bound or judged.only_names):
            self._review(select, judged, query)
        if query.rehearsal:
            found = {"columns": self._bound(select, judged, query).columns, "tables": list(judged.tables)}
            return self._whole("json", [msgspec.json.encode(found | {"everything": judged.everything})])
        if query.format != "json":
            rows = self._bound(select, judged, query)
            self.has_executed = True
            return self._stream(
                query.format, encode.stream(rows, query.format, query.limit, escape_formulas=query.escape_formulas)
            )
        records, columns = self._records(select, judged, query)
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        after = {"row_count": records.count, "truncated": records.truncated, "elapsed_ms": elapsed}
        return self._whole("json", encode.document({"columns": columns}, records, after))

    def _review(self, select: str, judged: Judged, query: messages.SqlQuery) -> None:
        """Review the statement as DuckDB binds it. Raises ``errors.Invalid``."""
        self._worker.stand_in(map(quoting.same, judged.tables))
        typed = bound_plan.with_types(select, judged.parameters, query.parameters or ())
        for text in (select, typed):
            if text is None:
                continue
            with self._cursor.cursor() as session:
                judged.is_bound = bound_plan.check(session, text, judged.tables, listing=judged.everything)
            if judged.is_bound:
                return
        self._bound(select, judged, query)  # raises DuckDB's own error
        raise gate.invalid("DuckDB does not tell how it binds this; name the types of parameters: CAST(? AS INTEGER)")

    def _may_read(self, judged: Judged, query: messages.SqlQuery) -> bool:
        """Attach the tables that the statement names, and only those; False if another worker does."""
        known = query.known
        if not (judged.tables or judged.everything):
            known = messages.Resolved([])
        wanted = {quoting.same(n) for n in judged.tables}
        if known is None or judged.everything or not wanted <= _names(known):
            known = self._worker.resolved(messages.Need(judged.tables, judged.everything, judged.only_names))
            if known is None:
                return False
        if judged.only_names:
            self._confined([], query.others)
            self._tables = sorted({s.table for s in known.sources})
            return True
        self._worker.load(known.snapshots)
        named = [s for s in known.sources if quoting.same(s.table) in wanted]
        if judged.explain is not None and any(s.row_filter for s in named):
            raise errors.Forbidden("a plan tells of rows that your row filter hides", code="ROW_FILTERED")
        stubs = [s.table for s in known.sources] if judged.everything else []
        self._confined(named, query.others, stubs=stubs)
        return True

    def _records(
        self, select: str, judged: Judged, query: messages.SqlQuery
    ) -> tuple[encode.JsonRecords, list[dict[str, str]]]:
        """The rows of a page and its columns; what is plain is bound once."""
        limit = query.limit
        if judged.plain and limit is not None and encode.are_few(limit, judged.plain):
            found = self._few(select, judged, query, limit)
            if found is not None:
                return encode.JsonRecords.of(found.lines, limit, query.max_bytes), found.head.columns
            self._again()
        rows = self._bound(select, judged, query)
        if limit is not None:
            rows = dataclasses.replace(rows, sql=_cut(rows.sql, limit, judged))
        self.has_executed = True
        judged.plain = len(rows.names) if judged.explain is None and encode.is_plain(rows.types) else 0
        return encode.JsonRecords.read(rows, limit, query.max_bytes), rows.columns

    def _few(self, select: str, judged: Judged, query: messages.SqlQuery, limit: int) -> encode.Few | None:
        """The rows of a page that is plain, from the native tables themselves where that is the same."""
        kind = shape(query.parameters)
        head = judged.heads.get(kind) if kind is not None else None
        direct = judged.over_tables(select, self._relations)
        for text in (direct, select):
            if text is None:
                continue
            try:
                found = encode.few(self._cursor, _cut(text, limit, judged), query.parameters, head)
                self.has_executed = True
            except duckdb.Error as error:
                self.has_executed = self.has_executed or not isinstance(error, _NOT_BOUND)
                if text is select:
                    raise self._located(error, select, query) from None
                judged.refuse_tables()
                self._again()
                continue
            if found is not None and kind is not None and len(judged.heads) < _MOST_SHAPES:
                judged.heads[kind] = found.head
            return found
        return None

    def _bound(self, select: str, judged: Judged, query: messages.SqlQuery) -> encode.Rows:
        """Bind the SELECT. The position in an error is one in the user's statement."""
        kind = shape(query.parameters)
        known = judged.columns.get(kind) if kind is not None else None
        if known is not None:
            return encode.Rows(self._cursor, select, *known, query.parameters)
        try:
            rows = encode.Rows.of(self._cursor, select, query.parameters)
            if judged.explain is None:
                if kind is not None and len(judged.columns) < _MOST_SHAPES:
                    judged.columns[kind] = (rows.names, rows.types)
                return rows
            self.has_executed = True
            plan = self._cursor.execute(f"{judged.explain} {select}", query.parameters).fetchall()
        except duckdb.Error as error:
            raise self._located(error, select, query) from None
        lines = [line for row in plan for line in str(row[1]).splitlines()]
        values = ", ".join(f"({i}, {quoting.literal(line)})" for i, line in enumerate(lines)) or "(0, '')"
        return encode.Rows.of(self._cursor, f"SELECT plan FROM (VALUES {values}) AS p(line, plan) ORDER BY line")

    def _located(self, error: duckdb.Error, select: str, query: messages.SqlQuery) -> errors.PenstockError:
        """The error with its position, which the relation API loses; executing the statement reports it."""
        if isinstance(error, _NOT_BOUND):
            try:
                self._cursor.execute(f"EXPLAIN {select}", query.parameters)
            except duckdb.Error as again:
                return self._translate(again, statement=query.statement, shift=len("EXPLAIN "))
        return self._translate(error)

    def _data(self, query: messages.DataQuery) -> list[bytes]:
        ordered = query.filter is not None
        relation = self._confined([query.source], query.others, keep_order=ordered)[query.source.table]
        unchanged = query.filter is None and query.sort is None and not query.source.row_filter
        relayed = all(map(logical_types.is_read_as_stored, relation.logical.values()))
        if query.format == "parquet" and unchanged and relayed and self._single(query):
            return self._stream("parquet", self._stored(query.source.parts[0]))
        known, types = self._worker.columns(query.source.table)
        chosen = data_select.chosen(query.columns, known)
        if unchanged and (export := self._export(query, chosen)) is not None:
            with self._pipe(query.format) as out:
                export.write(out)
            return []
        self._worker.stand_in([quoting.same(query.source.table)] if ordered else [])
        where = data_select.filtered(self._cursor, query.filter, known, query.source.table)
        order = data_select.ordered(query.sort, known, relation)
        binary = FORMATS[query.format].binary
        columns = ", ".join(data_select.column(name, relation, as_stored=binary) for name in chosen)
        rows_of = relation.with_stored or relation.sql
        self.has_executed = True
        sql = f"SELECT {columns} FROM {rows_of}{where}{order}"
        try:
            if query.format == "json":
                rows = encode.Rows(self._cursor, sql, chosen, [types[known.index(name)] for name in chosen])
                return self._page(query, relation, rows, where)
            rows = encode.Rows.of(self._cursor, sql + (f" OFFSET {query.offset}" if query.offset else ""))
            if binary:
                rows = dataclasses.replace(rows, stored_types=data_select.stored_types(relation.logical))
            return self._stream(
                query.format, encode.stream(rows, query.format, query.limit, escape_formulas=query.escape_formulas)
            )
        except (duckdb.Error, encode.Interrupted) as error:
            raise self._translate(error, field="filter" if where else None) from None

    def _lookup(self, query: messages.LookupQuery) -> list[bytes]:
        relation = self._confined([query.source], query.others)[query.source.table]
        known = self._worker.columns(query.source.table)
        try:
            self.has_executed = True
            return self._whole(query.format, Lookup(self._cursor, relation, known, query, self._again).chunks())
        except (duckdb.Error, encode.Interrupted) as error:
            raise self._translate(error) from None

    def _page(
        self, query: messages.DataQuery, relation: confinement.Relation, rows: encode.Rows, where: str
    ) -> list[bytes]:
        limit, total = query.source.rows if query.limit is None else query.limit, query.source.rows
        if where or query.source.row_filter:
            total = int(self._cursor.execute(f"SELECT count(*) FROM {relation.sql}{where}").fetchall()[0][0])
        head = encode.Head.of(rows.names, rows.types) if encode.are_few(limit, len(rows.names)) else None
        # LIMIT takes hundreds of MB for thousands of columns; without a sort, reading can stop early
        cut = f" LIMIT {limit}" if query.sort or head else ""
        part = f"{cut} OFFSET {query.offset}"
        if relation.is_table and not (where or query.sort) and self._worker.is_dense(query.source.table):
            part = f" WHERE rowid >= {query.offset} AND rowid < {query.offset + limit}"  # no row before it is read
        rows = dataclasses.replace(rows, sql=f"{rows.sql}{part}")
        found = encode.few(self._cursor, rows.sql, head=head) if head else None
        if head and found is None:
            self._again()
        texts = found.lines if found is not None else encode.lines(rows, limit)
        records = encode.JsonRecords.of(texts, limit, query.max_bytes)
        source, after_this = query.source, query.offset + records.count
        before = {"pipeline": source.pipeline, "version": source.version, **query.about}
        before["columns"] = head.columns if head else rows.columns
        after = {
            "row_count": records.count,
            "total_rows": total,
            "limit": limit,
            "offset": query.offset,
            "next_offset": after_this if records.count and after_this < total else None,
        }
        return self._whole("json", encode.document(before, records, after))

    def _export(self, query: messages.DataQuery, columns: list[str]) -> exports.Export | ArrowExport | None:
        """The rows as Polars and Arrow write them; None where DuckDB does."""
        limit, rows, setup = query.limit, query.source.rows - query.offset, self._worker.setup
        if query.format == "parquet" or query.source.united or (rows if limit is None else min(limit, rows)) < _FEW:
            return None
        parts = [Path(setup.warehouse) / confinement.relative(p, setup.warehouse) for p in query.source.parts]
        if query.format == "arrow":
            return arrow_export.prepared(
                parts, columns, offset=query.offset, limit=limit, memory_bytes=setup.memory_bytes
            )
        return exports.prepared(
            parts, columns, query.format, offset=query.offset, limit=limit, escape_formulas=query.escape_formulas,
            memory_bytes=setup.memory_bytes,
        )  # fmt: skip

    @staticmethod
    def _single(query: messages.DataQuery) -> bool:
        return len(query.source.parts) == 1 and query.limit is None and query.offset == 0 and query.columns is None

    def _stored(self, part: str) -> Iterator[bytes]:
        """The Parquet file of a version of one part, which is the answer as it is."""
        warehouse = self._worker.setup.warehouse
        path = Path(warehouse) / confinement.relative(part, warehouse)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _whole(self, format_: str, chunks: list[bytes]) -> list[bytes]:
        self.media_type = FORMATS[format_].media_type
        return chunks

    def _stream(self, format_: str, chunks: encode.Chunks) -> list[bytes]:
        """Send the chunks as they are made; an answer of one small chunk is sent whole."""
        first = next(chunks, b"")
        begun: list[bytes | bytearray] = [first]
        if len(first) <= _SMALL:
            begun += itertools.islice(chunks, 1)
            if len(begun) == 1:
                return self._whole(format_, [bytes(first)])
        with self._pipe(format_) as out:
            for chunk in itertools.chain(begun, chunks):
                _write(out, chunk)
        return []

    def _pipe(self, format_: str) -> BinaryIO:
        """The pipe to the API, of which nothing is left in the folder that the next query finds."""
        path = pipe.make(Path(self._worker.setup.spill))
        self._worker.send(messages.HEAD + msgspec.msgpack.encode(messages.Head(FORMATS[format_].media_type)))
        return pipe.open_to_write(path)


def _names(known: messages.Resolved) -> set[str]:
    return {quoting.same(s.table) for s in known.sources} | set(known.snapshots)


def _cut(select: str, limit: int, judged: Judged) -> str:
    """The SELECT with one row more than the limit, which tells whether there are more."""
    if judged.takes_limit and judged.explain is None:  # a subquery would have all columns bound twice
        return f"{select}\nLIMIT {limit + 1}"
    return f"SELECT * FROM ({select}\n) AS q LIMIT {limit + 1}"


def _listed(tables: list[str]) -> str:
    """What SHOW TABLES answers, in a worker that has other tables."""
    rows = ", ".join(f"({quoting.literal(table)})" for table in tables)
    return f"SELECT name FROM (VALUES {rows}) AS t(name)" if rows else "SELECT '' AS name LIMIT 0"


def _write(out: BinaryIO, chunk: bytes | bytearray) -> None:
    """Raises ``Gone``."""
    left = memoryview(chunk)
    try:
        while left:
            left = left[out.write(left) :]
    except OSError:
        raise Gone from None
