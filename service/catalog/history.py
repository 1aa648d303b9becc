"""Runs and the versions that they committed. ``publish`` is the commit point of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from service.catalog import lineage_events, run_rows, statistics, version_marks, version_rows
from service.catalog.leases import Lease
from service.catalog.newest_versions import NewestVersions
from service.catalog.process_list import ProcessList
from service.catalog.run_queue import RunQueue
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.kit import errors
from service.model import acceptance
from service.model.lifecycle import Status
from service.model.run import Run
from service.model.table import QUARANTINE, Table
from service.model.version import Version

if TYPE_CHECKING:
    from service.catalog.run_events import RunEvents

_RUNS = load_sql("runs")
_VERSIONS = load_sql("versions")


Alongside = Callable[[Transaction, Run], None]
"""A write that is committed together with a new run."""


def _run(row: Row) -> Run:
    return msgspec.json.decode(row["value"], type=Run)


def _version(row: Row) -> Version:
    return version_rows.read(row["value"])


def _events(store: Store) -> RunEvents | None:
    if not store.remote:
        return None
    from service.catalog.run_events import RunEvents

    return RunEvents(store)


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """A version in the catalog; ``live`` is false if its pipeline was deleted."""

    version: Version
    live: bool
    pipeline_id: str


class History:
    """The runs and versions in the catalog. Methods block; the API calls them in threads.

    ``on_published`` is called with the id of the pipeline after a version was published. ``has_newest`` and
    ``has_table`` say that ``newest`` and ``table`` do not block. With ``lineage`` the starts and ends of runs become
    events for an OpenLineage service. ``events`` are those of runs, unless they are in files.
    """

    def __init__(self, store: Store, *, lineage: bool = False, lease: Lease | None = None) -> None:
        self._store = store
        self._lineage = lineage
        self.lease = lease or Lease(store)
        self.queue = RunQueue(store, self.lease, self._change)
        self.events = _events(store)
        self.processes = ProcessList(store, self.lease.seconds)
        self.on_published: Callable[[str], None] = lambda _: None
        self._newest = NewestVersions(store)
        self.has_newest, self.has_table = self._newest.has, self._newest.has_table

    @property
    def healthy(self) -> bool:
        """Whether the catalog can still be used."""
        return self._store.healthy

    # runs

    def add_run(self, pipeline_id: str, run: Run, alongside: Sequence[Alongside] = ()) -> None:
        """Store a run that is queued, or whose first attempt begins at once (with the fencing token 1).

        What belongs to it is stored in the same transaction. Raises what ``alongside`` raises.
        """

        def work(transaction: Transaction) -> None:
            run_rows.insert(transaction, pipeline_id, run, self.lease)
            if self._lineage:
                lineage_events.note(transaction, run, pipeline_id)
            for write in alongside:
                write(transaction, run)

        self._store.write(work)

    def begin_attempt(self, run: Run) -> int:
        """Store a run whose next attempt begins now. Returns the fencing token of the attempt.

        An attempt with an older token can store nothing from now on. Raises as ``change_run``.
        """
        return self._store.write(lambda transaction: self._change(transaction, run, None, begun=1))

    def change_run(self, run: Run, fence: int | None = None) -> None:
        """Store the present state of a run whose status has changed.

        With ``fence`` only if that is still the run's token. When it raises, nothing has changed:
        ``lifecycle.IllegalTransition``, ``lifecycle.Superseded``, ``errors.Missing`` (RUN_NOT_FOUND).
        """
        self._store.write(lambda transaction: self._change(transaction, run, fence))

    def amend_run(self, pipeline_id: str, run: Run) -> None:
        """Store the present state of a run whose status is the stored one. Raises as ``change_run``."""
        self._store.write(lambda transaction: run_rows.amend(transaction, pipeline_id, run))

    def _change(self, transaction: Transaction, run: Run, fence: int | None, *, begun: int = 0) -> int:
        token = run_rows.change(transaction, run, self.lease, fence, begun=begun)
        if self._lineage:
            lineage_events.note(transaction, run)
        return token

    def status(self, run_id: str) -> Status | None:
        """The status of a run; None if the catalog does not know the run."""
        row = self._store.row(_RUNS["find"], {"run_id": run_id})
        return _run(row).status if row is not None else None

    def run(self, run_id: str) -> Run:
        """Raises ``errors.Missing`` (RUN_NOT_FOUND)."""
        row = self._store.row(_RUNS["find"], {"run_id": run_id})
        if row is None:
            raise run_rows.missing(run_id)
        return _run(row)

    def newest_run(self, pipeline_id: str) -> Run | None:
        row = self._store.kept_row("runs", pipeline_id, _RUNS["newest"], {"pipeline_id": pipeline_id})
        return run_rows.decoded(row["value"]) if row is not None else None

    def has_newest_run(self, pipeline_id: str) -> bool:
        """Whether ``newest_run`` answers from memory, without blocking."""
        return self._store.keeps("runs", pipeline_id, _RUNS["newest"])

    def newest_statuses(self, pipeline_ids: Sequence[str] | None = None) -> dict[str, str]:
        """The status of the newest run of each pipeline, or of these, by pipeline id."""
        if pipeline_ids is not None:
            return {one: run.status for one in pipeline_ids if (run := self.newest_run(one)) is not None}
        return {r["pipeline_id"]: r["status"] for r in self._store.rows(_RUNS["newest_statuses"])}

    def runs(self, pipeline_id: str, *, limit: int, offset: int, status: str | None = None) -> tuple[list[Run], int]:
        """Runs, newest first, and how many there are in all."""
        total = self._store.row(_RUNS["count"], {"pipeline_id": pipeline_id, "status": status})
        rows = self._store.rows(
            _RUNS["list"], {"pipeline_id": pipeline_id, "status": status, "limit": limit, "offset": offset}
        )
        return [_run(r) for r in rows], int(total["total"]) if total else 0

    def statistics(self, pipeline_id: str) -> dict[str, Any]:
        """The figures of ``GET /pipeline/{name}/stats``, computed by SQL over the run history."""
        return statistics.of_pipeline(self._store, pipeline_id)

    # versions

    def next_version(self, pipeline_id: str) -> int:
        """The number that the next committed version will have."""
        row = self._store.kept_row("versions", pipeline_id, _VERSIONS["newest_number"], {"pipeline_id": pipeline_id})
        return int(row["version"]) + 1 if row else 1

    def publish(
        self,
        pipeline_id: str,
        run: Run,
        version: Version,
        fence: int | None = None,
        changed: Sequence[tuple[Run, Version]] = (),
    ) -> None:
        """The commit point: store the version, published or held, and the run that made it in one transaction.

        ``changed`` are earlier versions that change with it, each with its run. Raises as ``change_run``: an attempt
        that was cancelled, or whose token (``fence``) is not the run's any more, commits nothing.
        """

        def work(transaction: Transaction) -> None:
            self._change(transaction, run, fence)
            row = version_rows.insert(transaction, pipeline_id, version)
            for earlier_run, earlier in changed:
                version_rows.update(transaction, pipeline_id, earlier)
                run_rows.amend(transaction, pipeline_id, earlier_run)
            transaction.keep("versions", pipeline_id, _VERSIONS["newest_number"], {"version": version.version})
            if not version.held:
                transaction.keep("versions", pipeline_id, _VERSIONS["find"], row)

        self._store.write(work)
        self.on_published(pipeline_id)

    def accept(self, pipeline_id: str, version: Version, at: datetime, alongside: Sequence[Alongside] = ()) -> Version:
        """Publish a held version at ``at``, and return it. Its run stays ``held``.

        ``alongside`` is committed with it. Raises ``errors.Missing`` (VERSION_NOT_FOUND), ``errors.Conflict`` (CONFLICT
        if the version is not held, VERSION_SUPERSEDED), and what ``alongside`` raises.
        """

        def work(transaction: Transaction) -> Version:
            row = transaction.row(_VERSIONS["find"], {"pipeline_id": pipeline_id, "version": version.version})
            if row is None:
                raise _no_version(version.pipeline, version.version)
            held = _version(row)
            newest = transaction.row(_VERSIONS["find"], {"pipeline_id": pipeline_id, "version": None})
            acceptance.refuse(held, _version(newest) if newest is not None else None)
            found = transaction.row(_RUNS["find"], {"run_id": held.run_id})
            if found is None:
                raise run_rows.missing(held.run_id)
            published = msgspec.structs.replace(held, held=False)
            run = acceptance.published_run(_run(found), published)
            version_rows.update(transaction, pipeline_id, published)
            run_rows.amend(transaction, pipeline_id, run)
            if self._lineage:
                lineage_events.note_accepted(transaction, run, at)
            for write in alongside:
                write(transaction, run)
            return published

        accepted = self._store.write(work)
        self.on_published(pipeline_id)
        return accepted

    def adopt(self, pipeline_id: str, run: Run, version: Version) -> None:
        """Store a version that another catalog committed, and its run unless the run is known."""

        def work(transaction: Transaction) -> None:
            known = transaction.row(_RUNS["state"], {"run_id": run.run_id})
            if known is None:
                run_rows.insert(transaction, pipeline_id, run, self.lease)
            run_rows.write(transaction, run, known or run_rows.state(transaction, run.run_id), self.lease)
            version_rows.insert(transaction, pipeline_id, version)

        self._store.write(work)

    def note_unchanged(self, pipeline_id: str, run: Run, version: Version, fence: int | None = None) -> None:
        """Store a run that completed without a version of its own, and the collectors' state in ``version``.

        Raises as ``publish``.
        """

        def work(transaction: Transaction) -> None:
            self._change(transaction, run, fence)
            version_rows.update(transaction, pipeline_id, version)

        self._store.write(work)

    def note_native(self, pipeline_id: str, run: Run, version: Version) -> None:
        """Store a version whose native file changed; readers use it from now on."""

        def work(transaction: Transaction) -> None:
            version_rows.update(transaction, pipeline_id, version)
            run_rows.amend(transaction, pipeline_id, run)

        self._store.write(work)

    def version(self, pipeline_id: str, name: str, number: int | str | None = None, field: str = "version") -> Version:
        """A version by its number or a tag, the newest by default; ``field`` is what names it in a request.

        Raises ``errors.Missing`` (NO_DATA before the first version, VERSION_NOT_FOUND).
        """
        if isinstance(number, str):
            number = version_marks.tagged(self._store, pipeline_id, name, number, field)
        if number is None and (newest := self.newest(pipeline_id)) is not None:
            return newest
        row = self._find(pipeline_id, number)
        if row is not None:
            return _version(row)
        if number is None or self.next_version(pipeline_id) == 1:
            raise errors.Missing(
                f"the pipeline '{name}' has no data yet; run it with POST /api/v1/pipeline/{name}/execute",
                code="NO_DATA",
            )
        raise _no_version(name, number, field)

    def newest(self, pipeline_id: str) -> Version | None:
        """The newest published version of a pipeline, or None."""
        return self._newest.of(pipeline_id)

    def _find(self, pipeline_id: str, number: int | None) -> Row | None:
        return self._store.row(_VERSIONS["find"], {"pipeline_id": pipeline_id, "version": number})

    def earlier(self, pipeline_id: str, version: Version) -> Version | None:
        """The newest published version that is older than ``version``, or None."""
        row = self._store.row(_VERSIONS["before"], {"pipeline_id": pipeline_id, "version": version.version})
        return _version(row) if row is not None else None

    def version_before(self, pipeline_id: str, version: Version) -> Version:
        """As ``earlier``. Raises ``errors.Missing`` (VERSION_NOT_FOUND)."""
        found = self.earlier(pipeline_id, version)
        if found is None:
            raise errors.Missing(
                f"the pipeline '{version.pipeline}' has no version before {version.version}; name one with against",
                code="VERSION_NOT_FOUND", field="against",
            )  # fmt: skip
        return found

    def version_of(self, name: str, number: int | str | None = None) -> Version | None:
        """A version (by number or tag, the newest by default) of the pipeline with that name, or None."""
        if isinstance(number, str):
            row = self._store.row(_VERSIONS["tagged_of"], {"name": name, "tag": number})
        else:
            row = self._store.row(_VERSIONS["of"], {"name": name, "version": number})
        return _version(row) if row is not None else None

    def present(self, version: Version) -> Version | None:
        """A version of a pipeline that is there, as the catalog has it now; None if it was deleted."""
        found = self.version_of(version.pipeline, version.version)
        return found if found is not None and found.run_id == version.run_id else None

    def versions(self, pipeline_id: str, *, limit: int, offset: int) -> tuple[list[Version], int]:
        """Versions, newest first, held ones too, and how many there are in all."""
        total = self._store.row(_VERSIONS["count"], {"pipeline_id": pipeline_id})
        page = {"limit": limit, "offset": offset}
        rows = self._store.rows(_VERSIONS["list"], {"pipeline_id": pipeline_id, "held": True, **page})
        return [_version(r) for r in rows], int(total["total"]) if total else 0

    def replay_of(self, pipeline_id: str, number: int) -> tuple[int, bool] | None:
        """The published version that a replay made which took over the quarantine of version ``number`` (to try it
        again, or because that was the newest version then), and whether it was deleted since.
        """
        row = self._store.row(_VERSIONS["replay_of"], {"pipeline_id": pipeline_id, "version": number})
        return (int(row["version"]), bool(row["deleted"])) if row is not None else None

    def committed(self) -> list[Committed]:
        """All committed versions, held ones and those of deleted pipelines too, by name and number."""
        return [
            Committed(version=_version(row), live=bool(row["live"]), pipeline_id=str(row["pipeline_id"]))
            for row in self._store.rows(_VERSIONS["committed"])
        ]

    def was_deleted(self, run_id: str) -> bool:
        """Whether the version that a run made was deleted from the catalog."""
        return self._store.row(_VERSIONS["was_deleted"], {"run_id": run_id}) is not None

    def is_empty(self) -> bool:
        """Whether the catalog has never had a pipeline."""
        row = self._store.row(_VERSIONS["total"])
        return row is None or not row["total"]

    def with_native(self, pipeline_id: str, *, skip: int, limit: int) -> list[Version]:
        """Those of ``limit`` versions that have a native file, newest first, after the ``skip`` newest versions."""
        key = {"pipeline_id": pipeline_id, "skip": skip, "limit": limit}  # SQL that looks inside takes far more
        return [v for r in self._store.rows(_VERSIONS["published"], key) if (v := _version(r)).native is not None]

    def without_native(self) -> list[tuple[str, Version]]:
        """Newest versions that want a native table and have none, with the id of their pipeline."""
        return [(r["id"], v) for r in self._store.rows(_VERSIONS["newest"]) if (v := _version(r)).lacks_native]

    # tables by their SQL names

    def tables(self) -> list[Table]:
        """The newest version of every pipeline that has one, under its table name, and quarantines that have rows."""
        newest = [Table(name=r["table_name"], version=_version(r)) for r in self._store.rows(_VERSIONS["tables"])]
        kept = [
            Table(name=t.name + QUARANTINE, version=t.version, quarantine=True) for t in newest if t.version.quarantine
        ]
        return sorted([*newest, *kept], key=lambda t: t.name)

    def table(self, name: str) -> Table | None:
        """The table that ``orders``, ``orders@3`` or ``orders@stable`` names: by table (in any case) or pipeline name.

        The suffix ``__quarantine`` names the quarantined rows of a version; a version without any has no rows there.
        """
        base, _, which = name.partition("@")
        newest = self._newest.of_table(base) if not which else None
        if newest is not None:
            return Table(name=name, version=newest)
        version = self._numbered(base, which) if which else None
        if which and version is None:
            return None
        found = self._store.row(_VERSIONS["named"], {"table_name": base, "version": version})
        if found is not None:
            return Table(name=name, version=_version(found))
        if not base.casefold().endswith(QUARANTINE):
            return None
        of = self._store.row(_VERSIONS["named"], {"table_name": base[: -len(QUARANTINE)], "version": version})
        return Table(name=name, version=_version(of), quarantine=True) if of is not None else None

    def _numbered(self, base: str, which: str) -> int | None:
        """The number of the version that ``which``, a number or a tag, names; None if there is no such tag."""
        if which.isdecimal():
            return int(which)
        bases = [base, base[: -len(QUARANTINE)]] if base.casefold().endswith(QUARANTINE) else [base]
        found = (self._store.row(_VERSIONS["tagged"], {"table_name": b, "tag": which}) for b in bases)
        return next((int(row["version"]) for row in found if row is not None), None)

    def table_names(self) -> list[str]:
        return [str(r["table_name"]) for r in self._store.rows(_VERSIONS["names"])]


def _no_version(name: str, number: int | None, field: str = "version") -> errors.Missing:
    return errors.Missing(f"the pipeline '{name}' has no version {number}", code="VERSION_NOT_FOUND", field=field)
