"""The query worker, which runs in a child: it connects, reports that it is ready, and answers queries one by one.

Everything that a user sends is parsed, checked, executed and encoded here. The first query says which sources the
worker may read, for its whole life. Each query has a cursor of its own, so that what a session holds (temporary
objects, variables, settings, the state of ``random``, results) ends with it, and a transaction that can only read, so
that nothing lasts beyond the session. A worker that failed, that keeps a trace of a query, or that has answered many,
ends.

Imports only the engines: the forkserver preloads this module.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from service.kit import errors
from service.processes.channel import Channel
from service.query import messages
from service.query.child import encode, type_forms
from service.query.child.answers import Answering, Gone
from service.query.child.judged import Columns, Judgements
from service.query.child.traces import Traces
from service.sandbox import bound_plan, confinement, gate, snapshots
from service.sandbox.duckdb_errors import Translator, too_large
from service.sandbox.source import TableSource, WorkerSetup

_decode_query = msgspec.msgpack.Decoder(messages.Query).decode
_decode_reply = msgspec.msgpack.Decoder(messages.Resolved | messages.Dismissed).decode


def serve(channel: Channel, order: bytes) -> None:
    """Entry function of the child; ``order`` is a ``WorkerSetup`` as msgpack."""
    setup = msgspec.msgpack.decode(order, type=WorkerSetup)
    connection = confinement.open_connection(setup)
    encode.warm_up(connection)
    worker = QueryWorker(channel, setup, connection)
    channel.send(messages.READY)
    with contextlib.suppress(Gone):
        while worker.answers_next():
            pass


class QueryWorker:
    """Answers the queries of one channel over the sources that the first of them names."""

    def __init__(self, channel: Channel, setup: WorkerSetup, connection: duckdb.DuckDBPyConnection) -> None:
        self.setup = setup
        self.judgements = Judgements()
        self._channel = channel
        self._connection = connection
        self._sources: dict[str, TableSource] | None = None
        self._relations: dict[str, confinement.Relation] = {}
        self._columns: dict[str, Columns] = {}
        self._dense: dict[str, bool] = {}
        self._stand_ins: set[str] = set()
        self._roots = (
            setup.warehouse, setup.spill, str(Path(setup.warehouse).parent), sys.prefix, sys.base_prefix
        )  # fmt: skip
        self._traces = Traces(connection, Path(setup.spill))
        self._answered = 0
        self._may_stay = True
        self._keeps_order = False
        self._has_snapshots = False

    def answers_next(self) -> bool:
        """Answer the next query; whether another one may follow. Raises ``Gone``."""
        message = self._channel.receive()
        if message is None:
            return False
        query = _decode_query(message)
        translate = Translator(
            roots=self._roots,
            memory_bytes=self.setup.memory_bytes,
            seconds=query.seconds,
            spill_bytes=self.setup.spill_bytes,
        )
        answering = None
        try:
            answering = Answering(self, self._connection.cursor(), translate)
            try:
                chunks = answering.answer(query)
            finally:
                answering.close()
                self._unload()
            if chunks is None:  # another worker answers
                return self._is_free()
            free = self._is_free()
            self.send(messages.whole(answering.media_type, chunks, free=free) if chunks else _done(free))
            return free
        except Gone:
            raise
        except BaseException as error:
            failure = self._failure(error, translate)
            clean = answering is not None and not answering.has_executed and isinstance(failure, errors.Invalid)
            free = clean and self._is_free()
            with contextlib.suppress(Gone):
                told = messages.FREE if free else messages.USED
                self.send(messages.FAILED + told + msgspec.msgpack.encode(failure.as_body()))
            return free

    def _is_free(self) -> bool:
        """Whether nothing of the query is left and another one may follow."""
        self._answered += 1
        return (
            self._sources is not None
            and self._may_stay
            and self._answered < self.setup.queries
            and self._traces.are_gone()
        )

    def _failure(self, error: BaseException, translate: Translator) -> errors.PenstockError:
        """An exception of any kind as an error of the product."""
        if isinstance(error, errors.PenstockError):
            return error
        if isinstance(error, duckdb.Error | encode.Interrupted):
            return translate(error)
        if isinstance(error, MemoryError):
            return too_large(self.setup.memory_bytes)
        if isinstance(error, RecursionError):
            return gate.invalid("the statement is nested too deeply")
        return errors.PenstockError(f"the query worker could not encode the answer ({type(error).__name__})")

    def send(self, message: bytes) -> None:
        """Raises ``Gone``."""
        try:
            self._channel.send(message)
        except OSError:
            raise Gone from None

    def resolved(self, need: messages.Need) -> messages.Resolved | None:
        """Ask the API for the sources of tables; None: another worker answers. Raises ``Gone``."""
        self.send(messages.NEED + msgspec.msgpack.encode(need))
        message = self._channel.receive()
        if message is None:
            raise Gone
        reply = _decode_reply(message)
        return reply if isinstance(reply, messages.Resolved) else None

    def load(self, tables: Mapping[str, bytes]) -> None:
        """Create system tables from their snapshots, for the present query alone."""
        if tables:
            self._has_snapshots = True
            snapshots.load(self._connection, tables)

    def _unload(self) -> None:
        if self._has_snapshots:
            snapshots.load(self._connection, {})
            self._has_snapshots = False

    def confined(
        self, wanted: list[TableSource], others: list[TableSource], *, keep_order: bool = False,
        stubs: Sequence[str] = (),
    ) -> dict[str, confinement.Relation]:  # fmt: skip
        """How SQL reads the sources ``wanted``, by table.

        The first call decides what the worker may read from then on: these and ``others``. With ``stubs``, tables that
        are only listed, it answers no other query.
        """
        if self._sources is None:
            self._sources = {}
            more = [] if stubs else [s for s in others if s.table not in {w.table for w in wanted}]
            self._relations = confinement.confine(
                self._connection, wanted, warehouse=self.setup.warehouse, seconds=self.setup.seconds, others=more,
                stubs=stubs, keep_order=keep_order,
            )  # fmt: skip
            self._sources = {s.table: s for s in [*wanted, *more] if s.table in self._relations}
            self._keeps_order = keep_order or any(s.row_filter for s in [*wanted, *more])
            self._may_stay = not stubs and len(self._sources) == len(wanted) + len(more)
            self._traces.begin()
        if keep_order and not self._keeps_order:
            raise errors.PenstockError("the query worker does not keep the order of rows")
        for source in wanted:
            if self._sources.get(source.table) != source:
                raise errors.PenstockError(f"the query worker was given another version of '{source.table}'")
        return {s.table: self._relations[s.table] for s in wanted}

    def columns(self, table: str) -> Columns:
        """The names and types of the columns of a source."""
        found = self._columns.get(table)
        if found is None:
            cursor = self._connection.cursor()
            try:
                found = self._columns[table] = type_forms.described(cursor, f"FROM {self._relations[table].sql}")
            finally:
                cursor.close()
        return found

    def stand_in(self, tables: Iterable[str]) -> None:
        """Create the stand-ins of sources, for reviews of plans over them (``bound_plan``)."""
        new = [table for table in tables if table in self._relations and table not in self._stand_ins]
        if new:
            with self._connection.cursor() as session:
                bound_plan.stand_in(session, new)
            self._stand_ins.update(new)

    def is_dense(self, table: str) -> bool:
        """Whether the rows of a native table are numbered from 0 without a gap, so that a number is a position."""
        found = self._dense.get(table)
        if found is None:
            cursor = self._connection.cursor()
            try:
                of = f"FROM {self._relations[table].sql}"
                ((last, rows),) = cursor.execute(f"SELECT max(rowid), count(*) {of}").fetchall()
                found = self._dense[table] = rows == (0 if last is None else last + 1)
            finally:
                cursor.close()
        return found


def _done(free: bool) -> bytes:
    return messages.DONE + (messages.FREE if free else messages.USED)
