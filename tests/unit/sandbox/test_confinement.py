"""The connection of a worker: its settings read back, its files, and nothing beyond."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
import pytest

from service.kit import errors
from service.sandbox import confinement
from service.sandbox.source import TableSource, WorkerSetup

SECRET = "canary"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "warehouse"
    for table, value in (("orders", "mine"), ("other", SECRET)):
        version = folder / table / "v000001"
        version.mkdir(parents=True)
        pl.DataFrame({"id": [1, 2], "v": [value, value]}).write_parquet(version / "part-0.parquet")
        with duckdb.connect(str(version / f"{table}.duckdb")) as native:
            native.execute(f"CREATE TABLE \"{table}\" AS FROM '{version / 'part-0.parquet'}'")
    (folder.parent / "spill").mkdir()
    return folder


@pytest.fixture
def warehouse(stored: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(stored)  # put back after the worker's own chdir
    return stored


def source(table: str, *, native: bool = False, **changes: object) -> TableSource:
    base: dict[str, object] = {
        "table": table,
        "pipeline": table,
        "version": 1,
        "parts": [f"{table}/v000001/part-0.parquet"],
        "native": f"{table}/v000001/{table}.duckdb" if native else None,
        "native_table": table if native else None,
        "rows": 2,
    }
    return TableSource(**{**base, **changes})  # type: ignore[arg-type]


@pytest.fixture
def opened(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    order = WorkerSetup(str(warehouse), str(warehouse.parent / "spill"), 768 << 20, 200 << 20, 2)
    connection = confinement.open_connection(order)
    yield connection
    connection.close()


def test_a_native_file_that_was_let_go_is_answered_by_the_parquet(
    opened: duckdb.DuckDBPyConnection, warehouse: Path
) -> None:
    gone = msgspec.structs.replace(source("orders", native=True), native="orders/v000001/gone.duckdb")
    confinement.confine(opened, [gone], warehouse=str(warehouse), seconds=5)
    assert opened.execute("SELECT count(*) FROM orders").fetchone() == (2,)


class _Late:
    """A connection whose file is moved after DuckDB has opened it; a newer version then changes its rows."""

    def __init__(self, opened: duckdb.DuckDBPyConnection, file: Path) -> None:
        self._opened, self._file = opened, file

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        if not sql.startswith("ATTACH"):
            return self._opened.execute(sql)
        newer = self._file.rename(self._file.with_name("newer.duckdb"))
        with duckdb.connect(str(newer)) as changed:
            changed.execute(f"UPDATE \"{self._file.stem}\" SET v = 'newer'")
        return self._opened.execute(sql.replace(self._file.name, newer.name))


def test_a_native_file_that_is_let_go_while_it_is_opened_is_answered_by_the_parquet(
    opened: duckdb.DuckDBPyConnection, warehouse: Path
) -> None:
    file = warehouse / "other" / "v000001" / "moved.duckdb"
    shutil.copyfile(file.with_name("other.duckdb"), file)
    with duckdb.connect(str(file)) as native:
        native.execute('ALTER TABLE "other" RENAME TO "moved"')
    gone = msgspec.structs.replace(source("other"), native="other/v000001/moved.duckdb", native_table="moved")
    late: Any = _Late(opened, file)
    confinement.confine(late, [gone], warehouse=str(warehouse), seconds=5)
    assert opened.execute("SELECT DISTINCT v FROM other").fetchall() == [(SECRET,)]
    attached = opened.execute("SELECT count(*) FROM duckdb_databases() WHERE database_name LIKE 'stored_%'")
    assert attached.fetchone() == (0,)


@pytest.mark.parametrize("native", [False, True])
def test_a_source_is_a_view(opened: duckdb.DuckDBPyConnection, warehouse: Path, native: bool) -> None:
    relation = confinement.confine(opened, [source("orders", native=native)], warehouse=str(warehouse), seconds=5)[
        "orders"
    ]
    assert opened.execute("SELECT count(*) FROM ORDERS").fetchall() == [(2,)]
    ordered = opened.execute(f"SELECT id FROM {relation.sql} ORDER BY {', '.join(relation.order)}").fetchall()
    assert ordered == [(1,), (2,)]


def test_requirement_03_the_settings_read_back(opened: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    confinement.confine(opened, [source("orders")], warehouse=str(warehouse), seconds=5)
    found = dict(opened.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert {k: found[k] for k in confinement.LOCKED} == confinement.LOCKED
    assert found["max_execution_time"] == "5000"
    assert found["memory_limit"] == "256.0 MiB"
    assert found["threads"] == "2"
    assert found["allowed_paths"] == f"[{warehouse}/orders/v000001/part-0.parquet]"
    assert found["allowed_directories"] == f"[{warehouse.parent}/spill/]"
    assert found["TimeZone"] == "UTC"


def test_requirement_03_an_open_sandbox_is_noticed() -> None:
    with duckdb.connect() as connection, pytest.raises(errors.PenstockError, match="could not be closed"):
        confinement.verify(connection)


def closed(opened: duckdb.DuckDBPyConnection, warehouse: Path, statement: str, native: bool) -> duckdb.Error:
    """How a statement fails that comes here without the gate; it changes no file."""
    confinement.confine(opened, [source("orders", native=native)], warehouse=str(warehouse), seconds=5)
    before = {p: p.read_bytes() for p in warehouse.parent.rglob("*") if p.is_file()}
    with pytest.raises(duckdb.Error) as caught:
        opened.execute(statement).fetchall()
    assert {p: p.read_bytes() for p in warehouse.parent.rglob("*") if p.is_file()} == before
    assert opened.execute("SELECT count(*) FROM orders").fetchall() == [(2,)]
    return caught.value


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "FROM 'other/v000001/part-0.parquet'",
        "FROM read_parquet('*/*/*.parquet')",
        "FROM read_parquet(['orders/v000001/part-0.parquet', 'other/v000001/part-0.parquet'])",
        "FROM glob('*')",
        "FROM parquet_metadata('other/v000001/part-0.parquet')",
        "FROM parquet_schema('other/v000001/part-0.parquet')",
        "ATTACH 'other/v000001/other.duckdb' AS o (READ_ONLY)",
        "FROM read_text('/etc/hostname')",
        "FROM read_duckdb('other/v000001/other.duckdb')",
        "COPY (SELECT 1) TO 'x.csv'",
        "COPY (SELECT 1) TO '/tmp/penstock-should-not-exist.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_requirement_06_files_of_others_are_refused(
    opened: duckdb.DuckDBPyConnection, warehouse: Path, statement: str, native: bool
) -> None:
    assert isinstance(closed(opened, warehouse, statement, native), duckdb.PermissionException)


@pytest.mark.parametrize(
    "statement",
    ["SET enable_external_access = true", "SET allowed_paths = ['/etc/passwd']", "RESET lock_configuration"],
)
def test_requirement_03_settings_are_locked(opened: duckdb.DuckDBPyConnection, warehouse: Path, statement: str) -> None:
    closed(opened, warehouse, statement, native=False)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "INSERT INTO stored_0.main.orders VALUES (1, 'x')",
        "WITH x AS (DELETE FROM stored_0.main.orders RETURNING *) FROM x",
        "WITH x AS (INSERT INTO stored_0.main.orders VALUES (1, 'x') RETURNING *) FROM x",
        "WITH x AS (UPDATE stored_0.main.orders SET id = 1 RETURNING *) FROM x",
        "WITH x AS (DELETE FROM orders RETURNING *) FROM x",
        "DROP TABLE stored_0.main.orders",
    ],
)
def test_requirement_05_nothing_stored_can_be_written(
    opened: duckdb.DuckDBPyConnection, warehouse: Path, statement: str, native: bool
) -> None:
    closed(opened, warehouse, statement, native)


REPLACED = [
    "FROM {}", "SELECT * FROM {} AS t", "TABLE {}", "SELECT (SELECT count(*) FROM {})", "WITH x AS (FROM {}) FROM x",
    "FROM query('FROM {}')", "FROM query_table('{}')", "CREATE TEMP VIEW w AS FROM {}", "PREPARE p AS FROM {}",
    "FROM orders, {}", "DESCRIBE {}", "SUMMARIZE {}", "FROM {} PIVOT (count(*) FOR a IN (1))",
]  # fmt: skip


def test_requirement_07_objects_of_python_are_no_tables(opened: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    """Of this function, its module, and what reads from anywhere; by every way to name a table."""
    secret_frame = pl.DataFrame({"a": [1]})
    secret_lazy, secret_arrow, secret_list = secret_frame.lazy(), secret_frame.to_arrow(), [SECRET]
    secret_reader, secret_numbers = secret_arrow.to_reader(), {"a": secret_frame["a"].to_numpy()}
    confinement.confine(opened, [source("orders")], warehouse=str(warehouse), seconds=5)
    names = [name for name in (*locals(), "SECRET", "confinement", "pandas") if name not in ("opened", "warehouse")]
    for name in names:
        for form in REPLACED:
            with pytest.raises(duckdb.Error):
                opened.execute(form.format(name)).fetchall()
    assert len(REPLACED) + len(names) >= 18
    assert [secret_frame.height, len(secret_list), len(secret_numbers)] == [1, 1, 1]
    assert secret_lazy.collect().height == secret_reader.read_all().num_rows == 1


def test_stubs_are_listed_and_hold_nothing(opened: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    confinement.confine(opened, [source("orders")], warehouse=str(warehouse), seconds=5, stubs=["orders", "other@1"])
    assert opened.execute("SHOW TABLES").fetchall() == [("orders",), ("other@1",)]
    assert opened.execute('FROM "other@1"').fetchall() == [(None,)]


@pytest.mark.parametrize("path", ["/etc/passwd", "../catalog.duckdb", "orders/../../x"])
def test_a_source_outside_the_warehouse_is_refused(
    opened: duckdb.DuckDBPyConnection, warehouse: Path, path: str
) -> None:
    with pytest.raises(errors.PenstockError, match="outside the warehouse"):
        confinement.confine(opened, [source("orders", parts=[path])], warehouse=str(warehouse), seconds=5)


def test_odd_names_are_quoted(opened: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    odd = msgspec.structs.replace(source("orders"), table='we"ird; DROP @3')
    confinement.confine(opened, [odd], warehouse=str(warehouse), seconds=5)
    assert opened.execute('SELECT count(*) FROM "we""ird; DROP @3"').fetchall() == [(2,)]


def test_filters_keep_the_stored_order(opened: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    """A long IN list would become a join; only a join loses the order."""
    relation = confinement.confine(opened, [source("orders")], warehouse=str(warehouse), seconds=5, keep_order=True)[
        "orders"
    ]
    numbers = ", ".join(map(str, range(100)))
    for filter_ in (f"id IN ({numbers})", f"list_contains([{numbers}], id)"):
        plan = opened.execute(f"EXPLAIN SELECT * FROM {relation.sql} WHERE {filter_}").fetchall()[0][1]
        assert "Join" not in plan
