"""The catalog remembers, refuses what conflicts, and commits a version with its run or not at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.files import quarantine
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.run import Run
from service.model.version import Column, Version
from service.steps.report import FittedStep
from service.steps.storage import File
from tests import stores

pytestmark = stores.BOTH

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    return stores.new()


@pytest.fixture
def pipelines(store: Store) -> Pipelines:
    return Pipelines(store, FixedClock())


@pytest.fixture
def history(store: Store) -> History:
    return History(store)


def a_run(number: int, **changes: object) -> Run:
    defaults = {"pipeline": "orders", "revision": 1, "status": "queued", "queued_at": T0 + timedelta(seconds=number)}
    return msgspec.structs.replace(Run(run_id=f"run_{number}", **defaults), **changes)  # type: ignore[arg-type]


def a_version(number: int, **changes: object) -> Version:
    value = Version(
        pipeline="orders", version=number, run_id=f"run_{number}", revision=1, table="orders", rows=10, bytes=100,
        columns=[Column("a", "Int64")], files=[], sources=[], created=T0,
    )  # fmt: skip
    return msgspec.structs.replace(value, **changes)


def publish(history: History, pipeline_id: str, number: int, **changes: object) -> None:
    run = a_run(number, status="running")
    history.add_run(pipeline_id, run)
    done = msgspec.structs.replace(
        run, status="completed", version=number, rows_stored=10, start_time=T0, end_time=T0 + timedelta(seconds=number)
    )
    history.publish(pipeline_id, done, a_version(number, **changes))


def test_create_get_update_delete(pipelines: Pipelines) -> None:
    assert pipelines.create("orders", "orders", {"name": "orders", "v": 1}, "ann").revision == 1
    assert pipelines.update("orders", "orders", {"name": "orders", "v": 2}, "ann").revision == 2
    assert pipelines.get("orders").document["v"] == 2
    assert pipelines.get("orders", 1).document["v"] == 1
    pipelines.delete("orders")
    with pytest.raises(errors.Missing, match="no pipeline 'orders'"):
        pipelines.get("orders")
    assert pipelines.create("orders", "orders", {"name": "orders"}, None).revision == 1


def test_conflicts_change_nothing(pipelines: Pipelines) -> None:
    pipelines.create("my-orders", "my_orders", {}, None)
    with pytest.raises(errors.Conflict) as caught:
        pipelines.create("my-orders", "my_orders", {}, None)
    assert caught.value.error_code == "PIPELINE_EXISTS"
    with pytest.raises(errors.Conflict) as caught:
        pipelines.create("my_orders", "MY_ORDERS", {}, None)
    assert caught.value.error_code == "TABLE_NAME_TAKEN"
    with pytest.raises(errors.Stale):
        pipelines.update("my-orders", "my_orders", {}, None, if_match=7)
    assert pipelines.list(limit=50, offset=0)[1] == 1
    assert pipelines.get("my-orders").revision == 1


def test_a_published_version_and_its_run_are_there_together(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("orders", "orders", {}, None)
    with pytest.raises(errors.Missing) as caught:
        history.version(record.id, "orders")
    assert caught.value.error_code == "NO_DATA"
    publish(history, record.id, 1)
    publish(history, record.id, 2)
    assert history.next_version(record.id) == 3
    assert history.version(record.id, "orders").version == 2
    assert history.run("run_2").status == "completed"
    with pytest.raises(errors.Missing) as caught:
        history.version(record.id, "orders", 9)
    assert caught.value.error_code == "VERSION_NOT_FOUND"
    before = history.run("run_2")
    history.add_run(record.id, a_run(3, status="running"))
    with pytest.raises(Exception, match="onstraint"):
        history.publish(record.id, a_run(3, status="completed"), a_version(2))
    assert history.run("run_3").status == "running"
    assert history.run("run_2") == before


def test_tables_are_named_by_version(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("my-orders", "my_orders", {}, None)
    publish(history, record.id, 1)
    publish(history, record.id, 2)
    for name, version in (("my_orders", 2), ("MY_ORDERS@1", 1), ("my-orders@2", 2)):
        found = history.table(name)
        assert found is not None
        assert found.version.version == version
    assert history.table("other") is None
    assert history.table("my_orders@9") is None
    assert history.table("my_orders@x") is None
    assert history.table_names() == ["my_orders"]


def test_statistics_come_from_the_history(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("orders", "orders", {}, None)
    assert history.statistics(record.id)["total_executions"] == 0
    publish(history, record.id, 2)
    publish(history, record.id, 4)
    history.add_run(record.id, a_run(5))
    failed = a_run(5, status="failed", start_time=T0, end_time=T0, error=errors.Permanent("no", step="x").as_body())
    history.change_run(failed)
    figures = history.statistics(record.id)
    assert (figures["total_executions"], figures["successful_executions"], figures["failed_executions"]) == (3, 2, 1)
    assert figures["success_rate"] == pytest.approx(2 / 3)
    assert (figures["average_duration"], figures["p50_duration"]) == (3.0, 3.0)
    assert figures["rows_per_second"] == pytest.approx(20 / 6)
    assert (figures["versions"], figures["bytes_stored"]) == (2, 200)
    assert figures["last_error"].message == "no"
    assert figures["last_execution"]["status"] == "failed"


def test_missing_native_tables_are_found(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("orders", "orders", {}, None)
    publish(history, record.id, 1, wants_native=True)
    assert [v.version for _, v in history.without_native()] == [1]
    publish(history, record.id, 2)
    assert history.without_native() == []


def test_what_a_version_refused_is_a_table_too(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("my-orders", "orders", {}, None)
    refused = [File("quarantine-processors-0.parquet", 10, 3, "")]
    publish(history, record.id, 1, quarantine=refused, quarantine_columns=[Column("_step", "String")])
    assert [(t.name, t.rows, t.quarantine) for t in history.tables()] == [
        ("orders", 10, False), ("orders__quarantine", 3, True),
    ]  # fmt: skip
    publish(history, record.id, 2)
    assert [t.name for t in history.tables()] == ["orders"]
    for name, version, rows, columns in (
        ("orders__quarantine", 2, 0, len(quarantine.LAYOUT)),
        ("ORDERS__Quarantine@1", 1, 3, 1),
        ("my-orders__quarantine@2", 2, 0, len(quarantine.LAYOUT)),
    ):
        found = history.table(name)
        assert found is not None
        assert (found.name, found.version.version, found.rows, len(found.columns)) == (name, version, rows, columns)
    for name in ("other__quarantine", "orders__quarantine@3", "orders@1__quarantine", "__quarantine"):
        assert history.table(name) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("orders", "orders"), ("orders__quarantine", "orders__quarantine")),
        (("orders__quarantine", "other"), ("orders", "orders")),
        (("sales", "Orders"), ("orders__quarantine", "x")),
        (("my-orders", "x"), ("my-orders__quarantine", "y")),
        (("a", "orders__QUARANTINE"), ("b", "orders")),
    ],
)
def test_the_table_of_a_quarantine_is_nobody_else_s(
    first: tuple[str, str], second: tuple[str, str], pipelines: Pipelines
) -> None:
    pipelines.create(*first, {}, None)
    with pytest.raises(errors.Conflict, match="__quarantine") as caught:
        pipelines.create(*second, {}, None)
    assert caught.value.error_code == "TABLE_NAME_TAKEN"
    pipelines.create("third", "third", {}, None)
    with pytest.raises(errors.Conflict, match="'third'"):
        pipelines.update(
            "third", f"{first[1]}__quarantine" if "quarantine" not in first[1].lower() else "orders", {}, None
        )


def test_the_newest_replay_of_a_version(pipelines: Pipelines, history: History) -> None:
    record = pipelines.create("orders", "orders", {}, None)
    publish(history, record.id, 1)
    assert history.replay_of(record.id, 1) is None
    publish(history, record.id, 2, replay_of=1)
    publish(history, record.id, 3, replay_of=1)
    assert (history.replay_of(record.id, 1), history.replay_of(record.id, 2)) == ((3, False), None)


def test_requirement_27_threads_do_not_see_each_others_rows(pipelines: Pipelines, store: Store) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for turn in range(400):
            tag = number * 1000 + turn
            row = store.row("SELECT $tag AS tag", {"tag": tag})
            if row is None or row["tag"] != tag:
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_requirement_26_a_second_process_is_refused_with_the_way_out(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "catalog.duckdb")
    code = (
        "import sys, pathlib\nfrom service.catalog.duckdb_store import DuckDBStore\nfrom service.kit import errors\n"
        "try: DuckDBStore(pathlib.Path(sys.argv[1]))\nexcept errors.Conflict as e: print(e.error_code, e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "catalog.duckdb")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("DATA_DIR_IN_USE")
    assert "another penstock" in done.stdout
    store.close()


def test_pipelines_that_are_created_at_once_are_all_there_and_each_name_once(pipelines: Pipelines) -> None:
    together = threading.Barrier(8)

    def create(name: str) -> str:
        together.wait()
        try:
            return pipelines.create(name, name, {"name": name}, None).name
        except errors.Conflict as error:
            return error.error_code

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, ["a", "b", "c", "d"] * 2))
    assert sorted(made) == ["PIPELINE_EXISTS"] * 4 + ["a", "b", "c", "d"]
    assert [line.name for line in pipelines.list(limit=9, offset=0)[0]] == ["a", "b", "c", "d"]


def test_native_files_are_looked_for_in_the_memory_of_the_values() -> None:
    """What a start and a commit ask of all versions takes no more than they do, whatever steps were fitted with."""
    store = DuckDBStore(None)
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
