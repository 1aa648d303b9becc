"""Who owns each pipeline, whether it is shared, and so which pipelines a caller sees.

All of it is held in memory until a pipeline changes, because every request asks. A private pipeline that was deleted
stays private: its runs are still read, and saved queries still name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from service.catalog.pipelines import PipelineRecord, missing
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.kit import errors
from service.model.rights import PUBLIC, Bounds, Readable, Rights, Visibility
from service.model.table import QUARANTINE
from service.model.user import ISSUED

_SQL = load_sql("ownership")
_COMMANDS = "cli"  # who a revision is by that a command saved
_MOST_BOUNDS = 1_024


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline, its owner (null: the admins), and who sees it: everyone, or its owner and the admins."""

    name: str
    owner: str | None
    visibility: Visibility


class _Known:
    """The pipelines at one state of the catalog, and what was derived from them."""

    def __init__(self, stamp: int, rows: list[Row]) -> None:
        self.stamp = stamp
        self.live = {row["name"]: row for row in rows if row["live"]}
        self.any_private = any(row["visibility"] == "private" for row in rows)
        self.tables = {name: name for name in self.live} | {row["table_name"]: n for n, row in self.live.items()}
        self.readable: dict[Bounds, Readable] = {}
        self.sets: dict[frozenset[str], frozenset[str]] = {}  # one object for equal sets, which are compared often


class Ownership:
    """The owners in the catalog. Methods block unless ``is_current``; those about runs and ``change`` always do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: _Known | None = None

    @property
    def is_current(self) -> bool:
        """Whether everything is in memory as it is now."""
        return self._known is not None and self._known.stamp == self.stamp

    @property
    def stamp(self) -> int:
        """Changes when a pipeline does."""
        return self._store.stamp(("pipelines",))

    @property
    def any_private(self) -> bool:
        """Whether a pipeline is private, or was when it was deleted; else everyone sees all."""
        return self._now().any_private

    def refresh(self) -> None:
        """Read what has changed."""
        self._now()

    def _now(self) -> _Known:
        known, stamp = self._known, self.stamp
        if known is None or known.stamp != stamp:
            known = self._known = _Known(stamp, self._store.rows(_SQL["all"]))
        return known

    def readable(self, rights: Rights) -> Readable:
        """The pipelines that a caller sees."""
        known, bounds = self._now(), rights.bounds
        if bounds not in known.readable:
            if len(known.readable) >= _MOST_BOUNDS:
                known.readable.clear()
            known.readable[bounds] = self._derived(known, rights)
        return known.readable[bounds]

    @staticmethod
    def _derived(known: _Known, rights: Rights) -> Readable:
        if rights.is_unbounded or (rights.pipelines is None and not known.any_private):
            return None
        seen = frozenset(n for n, row in known.live.items() if rights.sees(row["owner"], row["visibility"], n))
        return known.sets.setdefault(seen, seen)

    def sees(self, rights: Rights, name: str) -> bool:
        """Whether there is a pipeline of that name for a caller."""
        row = self._now().live.get(name)
        return row is not None and rights.sees(row["owner"], row["visibility"], name)

    def has_tables(self, readable: Readable, tables: Iterable[str]) -> bool:
        """Whether the pipelines behind names of tables, as SQL spells them, are all ``readable``."""
        if readable is None:
            return True
        known = self._now().tables
        names = [table.partition("@")[0].casefold() for table in tables]
        of = [known.get(n) or known.get(n.removesuffix(QUARANTINE)) for n in names if not n.startswith("penstock.")]
        return all(name is not None and name in readable for name in of)

    def by_pipeline(self, row_filter: Mapping[str, str]) -> dict[str, str]:
        """Conditions by the pipelines of their tables; that of a table which there is not stays, but for none."""
        if not row_filter:
            return {}
        of = {row["table_name"]: name for name, row in self._now().live.items()}
        return {of.get(table.casefold(), f"@{table}"): condition for table, condition in row_filter.items()}

    def table_of(self, name: str) -> str:
        """The table of a pipeline, in lower case; of one that there is not, the name."""
        row = self._now().live.get(name)
        return str(row["table_name"]) if row is not None else name

    def table_of_run(self, run_id: str) -> str:
        """The table of the pipeline of a run, in lower case; empty for a run that there is not."""
        row = self._store.row(_SQL["of_run"], {"run_id": run_id})
        return str(row["table_name"]) if row is not None else ""

    def is_table(self, table: str, readable: Readable) -> bool:
        """Whether one of the ``readable`` pipelines has a table of that name, in any case."""
        live = self._now().live.items()
        return any(r["table_name"] == table.casefold() and (readable is None or n in readable) for n, r in live)

    def sees_run(self, rights: Rights, run_id: str) -> bool:
        """Whether a caller sees the pipeline of a run, also if that was deleted."""
        row = self._store.row(_SQL["of_run"], {"run_id": run_id})
        return row is not None and rights.sees(row["owner"], row["visibility"], row["name"])

    def reads(self, record: PipelineRecord) -> Readable:
        """The pipelines that runs of a revision may read: those that both its owner and its author see.

        Otherwise somebody who changes the configuration of another one could read what only that one may.
        """
        found = [self._reads(name) for name in (record.owner, record.author) if name is not None]
        sets = [seen for seen in found if seen is not None]
        return frozenset.intersection(*sets) if sets else None

    def _reads(self, username: str) -> Readable:
        """What a user sees with the present role; without an account (deleted, or of an issuer) no admin's view."""
        row = self._store.kept_row("users", username, _SQL["role"], {"username": username})
        if row is None and username == _COMMANDS:
            return None
        role = row["role"] if row is not None else PUBLIC.role
        return self.readable(Rights(username=username, role=role, account=username))

    def change(self, name: str, rights: Rights, changes: Mapping[str, str | None]) -> Owned:
        """Store another owner or visibility of a pipeline that is the caller's at that moment.

        Raises ``errors.Missing``, ``errors.Forbidden``, ``errors.Invalid``.
        """

        def work(transaction: Transaction) -> Owned:
            row = transaction.row(_SQL["of"], {"name": name})
            if row is None:
                raise missing(name)
            if not rights.owns(row["owner"]):
                raise errors.Forbidden("only the owner of a pipeline and admins may share it, or make it private")
            before = Owned(name=name, owner=row["owner"], visibility=row["visibility"])
            after = msgspec.structs.replace(before, **changes)
            owner = after.owner
            known = owner is None or owner.startswith(ISSUED)
            if not known and transaction.row(_SQL["role"], {"username": owner}) is None:
                raise errors.Invalid(f"owner: there is no user '{str(owner)[:80]}'", field="owner")
            values = {"id": row["id"], "owner": owner, "visibility": after.visibility}
            transaction.execute(_SQL["change"], values)
            return after

        return self._store.write(work, urgent=True)  # also on a full disk nobody reads on who must not


def pass_on(transaction: Transaction, username: str) -> None:
    """Give the pipelines of a user to the admins, with what the user wrote of them.

    Part of the transaction that deletes the user.
    """
    transaction.execute(_SQL["pass_on_revisions"], {"owner": username})
    transaction.execute(_SQL["pass_on"], {"owner": username})
