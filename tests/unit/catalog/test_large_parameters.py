"""Versions with large fitted parameters: what a start and a commit ask of all of them takes no more than they do."""

from __future__ import annotations

import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.kit.clock import FixedClock
from service.steps.report import FittedStep
from service.steps.storage import File
from tests.unit.catalog.test_catalog import a_run, a_version


@pytest.fixture
def store() -> DuckDBStore:
    return DuckDBStore(None)


def test_native_files_are_looked_for_in_the_memory_of_the_values(store: DuckDBStore) -> None:
    history, pipelines = History(store), Pipelines(store, FixedClock())
    pipeline = pipelines.create("orders", "orders", {}, None).id
    categories = [f"{n:036}" for n in range(50_000)]  # 2 MB
    native = File("orders.duckdb", rows=1, bytes=1, sha256="0" * 64)
    for number in range(1, 9):
        history.add_run(pipeline, a_run(number, status="running"))
        done = msgspec.structs.replace(a_run(number), status="completed", version=number)
        fitted = {"processors[0]": FittedStep("transformer", {"encode": {"id": {"categories": categories}}})}
        version = a_version(number, fitted=fitted, wants_native=True, native=native if number == 3 else None)
        history.publish(pipeline, done, version)
    store._connection.execute("SET memory_limit = '50MB'")
    assert [v.version for v in history.with_native(pipeline, skip=1, limit=20)] == [3]
    assert [v.version for _, v in history.without_native()] == [8]
    assert history.with_native(pipeline, skip=0, limit=5) == []
