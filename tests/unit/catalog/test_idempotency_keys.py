"""A key is claimed once: whoever comes second does nothing, also in another process."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.catalog.idempotency import Answer, Claim, IdempotencyKeys
from service.catalog.store import Transaction
from service.kit import errors
from service.kit.clock import FixedClock
from tests import stores

pytestmark = stores.BOTH


def test_a_key_is_claimed_once_and_again_when_it_is_forgotten(clock: FixedClock) -> None:
    store = stores.new()
    store.execute("INSERT INTO properties (name, value) VALUES ('made', '')")
    keys = IdempotencyKeys(store, clock)

    def claim(resource: str) -> None:
        mine = Claim(caller="ada", key="k", fingerprint="f", at=clock.now())

        def work(transaction: Transaction) -> None:
            transaction.execute("UPDATE properties SET value = value || $r WHERE name = 'made'", {"r": resource})
            mine.note(transaction, resource)

        store.write(work)

    claim("a")
    with pytest.raises(errors.Unavailable, match="send it again"):
        claim("b")
    assert store.property("made") == "a"
    known = keys.find("ada", "k")
    assert known is not None
    assert (known.resource, known.answer) == ("a", None)
    keys.store(Claim(caller="ada", key="k", fingerprint="f", at=clock.now()), Answer(status=201, headers=[], body=b""))
    with pytest.raises(errors.Unavailable):
        claim("c")
    clock.advance(timedelta(hours=25).total_seconds())
    claim("d")
    assert store.property("made") == "ad"
