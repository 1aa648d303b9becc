"""Pipelines and their revisions. A new pipeline may take the name of a deleted one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from service.catalog import api_keys, schedules, trigger_inputs
from service.catalog.idempotency import Claim
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import errors, ids
from service.kit.clock import Clock
from service.model.rights import Readable, Visibility
from service.model.run import Run

_SQL = load_sql("pipelines")
_LISTED = ("pipelines", "versions")
"""What a list is read from."""
_MOST_LISTS = 16
_Asked = tuple[int, int, str | None, Readable]


class PipelineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline as the catalog knows it; ``document`` is the configuration of ``revision``, and ``author`` saved it.

    ``owner`` is None for those of the admins.
    """

    id: str
    name: str
    table: str
    revision: int
    document: dict[str, Any]
    created: datetime
    updated: datetime
    owner: str | None = None
    author: str | None = None


class PipelineSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A line in the list of pipelines."""

    id: str
    name: str
    table: str
    revision: int
    description: str | None
    created: datetime
    updated: datetime
    version: int | None
    owner: str | None = None
    visibility: Visibility = "shared"
    after: list[str] = []


class RevisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a configuration: when it was saved, and by whom, if that is known."""

    revision: int
    created: datetime
    created_by: str | None


@functools.lru_cache(128)
def _shared(document: str) -> dict[str, Any]:
    return msgspec.json.decode(document, type=dict[str, Any])


def _record(row: Row, document: dict[str, Any], revision: int | None = None) -> PipelineRecord:
    return PipelineRecord(
        id=row["id"],
        name=row["name"],
        table=row["table_name"],
        revision=revision if revision is not None else row["revision"],
        document=document,
        created=_utc(row["created"]),
        updated=_utc(row["updated"]),
        owner=row["owner"],
        author=row["author"],
    )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


class Pipelines:
    """The pipelines in the catalog. Methods block; the API calls them in threads.

    ``on_change`` is called after a pipeline was created, changed or deleted.
    """

    def __init__(self, store: Store, clock: Clock, on_change: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._clock = clock
        self.on_change = on_change
        self._lists: dict[_Asked, tuple[int, list[PipelineSummary], int]] = {}

    def create(
        self, name: str, table: str, document: Mapping[str, Any], by: str | None, claim: Claim | None = None, *,
        owner: str | None = None, readable: Readable = None,
    ) -> PipelineRecord:  # fmt: skip
        """Store a new pipeline as revision 1, with the idempotency key of the request; without ``owner`` the admins'.

        If an earlier try of the request has created it, nothing is stored again. Errors tell of pipelines that are
        ``readable`` for the caller (None: all).

        Raises ``errors.Conflict`` (PIPELINE_EXISTS, TABLE_NAME_TAKEN), ``errors.Invalid`` if its trigger names unknown
        pipelines or makes a cycle.
        """
        if claim is not None and claim.resource is not None:
            return self.get(claim.resource, 1)

        def work(transaction: Transaction) -> None:
            if transaction.row(_SQL["current"], {"name": name}) is not None:
                seen = readable is None or name in readable
                raise errors.Conflict(
                    f"a pipeline '{name}' exists; change it with PUT /api/v1/pipeline/{name}/config"
                    if seen
                    else f"the name '{name}' is taken; choose another one",
                    code="PIPELINE_EXISTS",
                    field="name",
                )
            _check_table(transaction, name, table, readable)
            identity, now = ids.new("pl"), naive(self._clock.now())
            transaction.execute(
                _SQL["insert"],
                {"id": identity, "name": name, "table_name": table, "created": now, "created_by": by, "owner": owner},
            )
            _insert_revision(transaction, identity, 1, document, now, by)
            if claim is not None:
                claim.note(transaction, name)
            self._configure(transaction, identity, name, document, readable)

        self._store.write(work)
        self.on_change()
        return self.get(name)

    def update(
        self, name: str, table: str, document: Mapping[str, Any], by: str | None, *, if_match: int | None = None,
        readable: Readable = None,
    ) -> PipelineRecord:  # fmt: skip
        """Store a new revision; earlier ones are kept. Errors tell of pipelines that are ``readable``.

        Raises ``errors.Missing``, ``errors.Stale`` if ``if_match`` is not the current revision,
        ``errors.Conflict`` (TABLE_NAME_TAKEN), ``errors.Invalid`` as ``create``.
        """

        def work(transaction: Transaction) -> None:
            row = _current(transaction, name)
            if if_match is not None and if_match != row["revision"]:
                raise errors.Stale(
                    f"the configuration is at revision {row['revision']}, not {if_match}; read it again and "
                    "repeat the change",
                    revision=row["revision"],
                )
            _check_table(transaction, name, table, readable)
            revision, now = row["revision"] + 1, naive(self._clock.now())
            transaction.execute(_SQL["update"], {"id": row["id"], "revision": revision, "table_name": table})
            api_keys.rename(transaction, row["table_name"], table)
            _insert_revision(transaction, row["id"], revision, document, now, by)
            self._configure(transaction, row["id"], name, document, readable)

        self._store.write(work, urgent=True)  # fewer versions to keep, or a schedule that fires less often
        self.on_change()
        return self.get(name)

    def get(self, name: str, revision: int | None = None) -> PipelineRecord:
        """The pipeline at ``revision`` (the newest by default). Raises ``errors.Missing``."""
        wanted = {"name": name, "revision": revision}
        row = (
            self._store.kept_row("pipelines", name, _SQL["find"], wanted)
            if revision is None
            else self._store.row(_SQL["find"], wanted)
        )
        if row is None:
            if revision is not None and self._store.row(_SQL["current"], {"name": name}) is not None:
                raise errors.Missing(f"the pipeline '{name}' has no revision {revision}", code="NOT_FOUND")
            raise missing(name)
        return _record(row, msgspec.json.decode(row["document"], type=dict[str, Any]), revision)

    def has(self, name: str) -> bool:
        """Whether ``get`` answers from memory, without blocking."""
        return self._store.keeps("pipelines", name, _SQL["find"])

    def kept(self, name: str) -> PipelineRecord | None:
        """What ``get`` answers, if that is in memory. Its document is that of all who ask: it must not be changed."""
        if not self.has(name):
            return None
        row = self._store.kept_row("pipelines", name, _SQL["find"], {"name": name, "revision": None})
        return _record(row, _shared(row["document"])) if row is not None else None

    def revisions(self, pipeline_id: str, *, newest: int, limit: int, offset: int) -> list[RevisionLine]:
        """The revisions of a pipeline up to ``newest``, the newest first. Blocks."""
        wanted = {"id": pipeline_id, "newest": newest, "limit": limit, "offset": offset}
        return [
            RevisionLine(revision=r["revision"], created=_utc(r["created"]), created_by=r["created_by"])
            for r in self._store.rows(_SQL["revisions"], wanted)
        ]

    def delete(
        self, name: str, *, readable: Readable = None, alongside: Callable[[Transaction], None] = lambda _: None
    ) -> str:
        """Delete the pipeline and return its id. Its versions stay on disk. Errors tell of pipelines that are
        ``readable``.

        Raises ``errors.Missing``, ``errors.Conflict`` if other pipelines run after it, and what ``alongside`` raises,
        which is part of the transaction.
        """

        def work(transaction: Transaction) -> str:
            row = _current(transaction, name)
            trigger_inputs.refuse_delete(transaction, name, readable)
            alongside(transaction)
            transaction.execute(_SQL["delete"], {"id": row["id"], "deleted": naive(self._clock.now())})
            return str(row["id"])

        identity = self._store.write(work, urgent=True)
        self.on_change()
        return identity

    def _configure(
        self, transaction: Transaction, identity: str, name: str, document: Mapping[str, Any], readable: Readable
    ) -> None:
        trigger_inputs.configure(transaction, identity, name, document, readable)
        schedules.configure(transaction, identity, document, self._clock.now())

    def list(
        self, *, limit: int, offset: int, q: str | None = None, readable: Readable = None
    ) -> tuple[list[PipelineSummary], int]:
        """The ``readable`` pipelines whose name contains ``q``, by name; and how many there are.

        Blocks unless ``has_list``.
        """
        asked = limit, offset, q, readable
        stamp, known = self._store.stamp(_LISTED), self._lists.get(asked)
        names = None if readable is None else [*readable]
        if known is not None and known[0] == stamp:
            return known[1], known[2]
        total = self._store.row(_SQL["count"], {"q": q, "readable": names})
        rows = self._store.rows(_SQL["list"], {"q": q, "limit": limit, "offset": offset, "readable": names})
        items = [
            PipelineSummary(
                id=r["id"],
                name=r["name"],
                table=r["table_name"],
                revision=r["revision"],
                description=r["description"],
                after=msgspec.json.decode(r["after"]) if r["after"] is not None else [],
                created=_utc(r["created"]),
                updated=_utc(r["updated"]),
                version=r["version"],
                owner=r["owner"],
                visibility=r["visibility"],
            )
            for r in rows
        ]
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        count = int(total["total"]) if total else 0
        self._lists[asked] = stamp, items, count
        return items, count

    def has_list(self, *, limit: int, offset: int, q: str | None = None, readable: Readable = None) -> bool:
        """Whether ``list`` answers from memory."""
        known = self._lists.get((limit, offset, q, readable))
        return known is not None and known[0] == self._store.stamp(_LISTED)


def refuse_deleted(record: PipelineRecord, transaction: Transaction, _: Run) -> None:
    """Part of the transaction that stores a run: it has a pipeline. Raises ``errors.Missing`` where it was deleted."""
    row = transaction.kept_row("pipelines", record.name, _SQL["current"], {"name": record.name})
    if row is None or row["id"] != record.id:
        raise missing(record.name)


def missing(name: str) -> errors.Missing:
    """The error for an unknown pipeline name."""
    return errors.Missing(f"there is no pipeline '{name}'", code="PIPELINE_NOT_FOUND", field="name")


def _current(transaction: Transaction, name: str) -> Row:
    row = transaction.row(_SQL["current"], {"name": name})
    if row is None:
        raise missing(name)
    return row


def _check_table(transaction: Transaction, name: str, table: str, readable: Readable) -> None:
    other = transaction.row(_SQL["taken"], {"table_name": table, "name": name})
    if other is not None and readable is not None and other["name"] not in readable:
        raise errors.Conflict(
            f"the table name '{table}' is taken; choose another name, or give the duckdb storage another 'table'",
            code="TABLE_NAME_TAKEN", field="name",
        )  # fmt: skip
    if other is not None and not other["same"]:
        raise errors.Conflict(
            f"the table names of the pipelines '{name}' and '{other['name']}' would clash: one's name followed by "
            "__quarantine is the table of its rejected rows; choose another name, or give the duckdb storage another "
            "'table'",
            code="TABLE_NAME_TAKEN",
            field="name",
        )
    if other is not None:
        raise errors.Conflict(
            f"the table name '{table}' belongs to the pipeline '{other['name']}'; give the duckdb storage another "
            "'table'",
            code="TABLE_NAME_TAKEN",
            field="storage",
        )


def _insert_revision(
    transaction: Transaction, identity: str, revision: int, document: Mapping[str, Any], now: datetime, by: str | None
) -> None:
    transaction.execute(
        _SQL["insert_revision"],
        {
            "id": identity,
            "revision": revision,
            "document": msgspec.json.encode(document).decode(),
            "created": now,
            "created_by": by,
        },
    )
