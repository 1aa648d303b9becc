"""API keys. All of them are also held in memory, by their hashes, because every request may bring one.

The uses of keys are noted in memory and written now and then, at most once a minute: a crash forgets the last ones.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC

import msgspec

from service.catalog.idempotency import Claim
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.kit import errors, ids, tokens
from service.kit.clock import Clock
from service.model.api_key import KeyDefinition, MachineKey

START = "psk_"
_SQL = load_sql("api_keys")
_PREFIX = len(START) + 8
_MOST_OF_A_USER = 100
_WRITE_SECONDS = 60.0


class ApiKeys:
    """The keys in the catalog. Methods block, except ``find`` and ``note_use``."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._stamp = -1
        self._keys: dict[str, MachineKey] = {}
        self._uses = {row["id"]: row["last_used"].replace(tzinfo=UTC) for row in store.rows(_SQL["uses"])}
        self._unwritten: set[str] = set()
        self._written = clock.monotonic()

    def _now(self) -> dict[str, MachineKey]:
        """The keys by hash; read again after one has changed, which is rare."""
        stamp = self._store.stamp(("api_keys",))
        if stamp != self._stamp:
            rows = self._store.rows(_SQL["all"])
            self._keys = {row["hash"]: msgspec.json.decode(row["value"], type=MachineKey) for row in rows}
            self._stamp = stamp
        return self._keys

    def refresh(self) -> None:
        """Read what has changed."""
        self._now()

    def find(self, secret: str) -> MachineKey | None:
        """The key, if it has not ended."""
        found = self._now().get(tokens.digest(secret))
        return found if found is not None and not found.ended(self._clock.now()) else None

    def list(self, owner: str | None = None) -> list[MachineKey]:
        """The keys of a user, or of all, in the order in which they were made."""
        return [self._shown(key) for key in self._now().values() if owner is None or key.owner == owner]

    def get(self, identity: str, owner: str | None = None) -> MachineKey:
        """One of these keys. Raises ``errors.Missing``."""
        for key in self.list(owner):
            if key.id == identity:
                return key
        raise errors.Missing(f"there is no key '{identity[:80]}'", field="id")

    def _shown(self, key: MachineKey) -> MachineKey:
        return msgspec.structs.replace(key, last_used=self._uses.get(key.id))

    def add(self, owner: str, definition: KeyDefinition, claim: Claim | None = None) -> tuple[MachineKey, str | None]:
        """Make a key of 256 random bits, with the idempotency key of the request.

        If an earlier try of the request has made it, only that is known, and no longer the key itself. Raises
        ``errors.Conflict`` for too many keys, ``errors.Unauthenticated`` for the owner who was deleted meanwhile.
        """
        if claim is not None and claim.resource is not None:
            return self.get(claim.resource, owner), None
        if len(self.list(owner)) >= _MOST_OF_A_USER:
            raise errors.Conflict(f"'{owner}' has {_MOST_OF_A_USER} keys; remove some that are not used")
        secret = START + secrets.token_urlsafe(32)
        key = MachineKey(
            id=ids.new("key"), owner=owner, prefix=secret[:_PREFIX], created=self._clock.now(),
            **msgspec.structs.asdict(definition),
        )  # fmt: skip

        def work(transaction: Transaction) -> None:
            if transaction.row(_SQL["owner"], {"owner": owner}) is None:  # else it would open an account of that name
                raise errors.Unauthenticated(f"the account '{owner}' was deleted meanwhile")
            row = {"id": key.id, "owner": owner, "hash": tokens.digest(secret), "value": _text(key)}
            transaction.execute(_SQL["insert"], row)
            if claim is not None:
                claim.note(transaction, key.id)

        self._store.write(work)
        return key, secret

    def change(self, key: MachineKey, definition: KeyDefinition) -> MachineKey:
        """Store what a key may do from now on."""
        changed = msgspec.structs.replace(key.changed(definition), last_used=None)
        self._store.execute(_SQL["update"], {"id": key.id, "value": _text(changed)}, urgent=True)
        return self._shown(changed)

    def delete(self, identity: str, owner: str | None = None) -> None:
        """Remove a key of a user, or of anyone; it opens nothing from then on. Raises ``errors.Missing``."""
        self._store.execute(_SQL["delete"], {"id": self.get(identity, owner).id}, urgent=True)

    def note_use(self, key: MachineKey) -> bool:
        """Note that a key is used now. Returns whether it is time for ``write_uses``, which somebody calls then."""
        self._uses[key.id] = self._clock.now()
        self._unwritten.add(key.id)
        due = self._clock.monotonic() - self._written >= _WRITE_SECONDS
        if due:
            self._written = self._clock.monotonic()
        return due

    def write_uses(self) -> None:
        """Write when keys were used last."""
        used, self._unwritten = self._unwritten, set()

        def work(transaction: Transaction) -> None:
            for identity in used:
                transaction.execute(_SQL["used"], {"id": identity, "last_used": naive(self._uses[identity])})
            transaction.execute(_SQL["sweep"])

        self._store.write(work)


def rename(transaction: Transaction, table: str, renamed: str) -> None:
    """Let row filters of a table, and so of its versions, hold under its new name. Part of the transaction of that."""
    if table.casefold() == renamed.casefold():
        return
    for row in transaction.rows(_SQL["all"]):
        key = msgspec.json.decode(row["value"], type=MachineKey)
        if any(name.casefold() == table.casefold() for name in key.row_filter or {}):
            changed = msgspec.structs.replace(key, row_filter=_renamed(key.row_filter or {}, table, renamed))
            transaction.execute(_SQL["update"], {"id": key.id, "value": _text(changed)})


def _renamed(row_filter: Mapping[str, str], table: str, renamed: str) -> dict[str, str]:
    """The filters; one of an earlier table of the new name gives way."""
    kept = {name: text for name, text in row_filter.items() if name.casefold() != renamed.casefold()}
    return {renamed if name.casefold() == table.casefold() else name: text for name, text in kept.items()}


def forget(transaction: Transaction, owner: str) -> None:
    """Remove the keys of a user. Part of the transaction that deletes the user."""
    transaction.execute(_SQL["delete_of"], {"owner": owner})


def _text(key: MachineKey) -> str:
    return msgspec.json.encode(key).decode()
