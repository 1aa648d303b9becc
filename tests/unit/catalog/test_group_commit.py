"""Writes that arrive together are committed together; one that fails takes no other with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog.duckdb_store import DuckDBStore, DuckDBTransaction
from service.catalog.group_commit import GroupCommit, _Write
from service.catalog.store import Transaction
from service.kit import errors

Act = tuple[str, int]


def write(act: Act) -> Callable[[Transaction], int]:
    kind, number = act

    def work(transaction: Transaction) -> int:
        if kind == "refused":
            raise errors.Conflict("no")
        transaction.execute("INSERT INTO properties VALUES ($name, 'x')", {"name": f"{number}"})
        if kind == "broken":
            raise ValueError("after a change")
        return number

    return work


@pytest.fixture(scope="module")
def store() -> Iterator[DuckDBStore]:
    """One for all examples, since it takes longer to make than an example."""
    store = DuckDBStore(None)
    yield store
    store.close()


@given(st.lists(st.tuples(st.sampled_from(["stored", "refused", "broken"]), st.integers(0, 3)), max_size=12))
def test_a_group_is_as_one_after_the_other(store: DuckDBStore, acts: list[Act]) -> None:
    """Equal numbers break the primary key, which the catalog itself refuses."""
    store.execute("DELETE FROM properties WHERE name <> 'schema_version'")
    expected: list[bool] = []
    for kind, number in acts:
        expected.append(
            kind == "stored" and number not in [n for (_, n), ok in zip(acts, expected, strict=False) if ok]
        )
    writes: list[_Write[DuckDBTransaction]] = [_Write(write(act)) for act in acts]
    if writes:
        store._group._commit(writes)
    assert [w.error is None for w in writes] == expected
    assert [w.result for w in writes if w.error is None] == [n for (_, n), ok in zip(acts, expected, strict=True) if ok]
    stored = {r["name"] for r in store.rows("SELECT name FROM properties")} - {"schema_version"}
    assert stored == {str(n) for (_, n), ok in zip(acts, expected, strict=True) if ok}


def test_writes_that_wait_share_a_commit(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "catalog.duckdb")
    commits, begin = [], store._open
    before = len(store.rows("SELECT * FROM properties"))

    class Counted(GroupCommit[DuckDBTransaction]):
        def _together(self, writes: list[_Write[DuckDBTransaction]]) -> None:
            commits.append(len(writes))
            super()._together(writes)

    store._group = group = Counted(store._writing, begin)
    with store._writing:  # a long write is in progress
        threads = [threading.Thread(target=store.write, args=(write(("stored", n)),)) for n in range(20)]
        for thread in threads:
            thread.start()
        while len(group._waiting) < 20:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert commits == [20]
    assert len(store.rows("SELECT * FROM properties")) == before + 20
    store.close()


def test_the_error_reaches_the_one_who_wrote() -> None:
    store = DuckDBStore(None)
    with pytest.raises(errors.Conflict, match="no"):
        store.write(write(("refused", 1)))
    with pytest.raises(ValueError, match="after a change"):
        store.write(write(("broken", 1)))
    assert store.write(write(("stored", 1))) == 1
