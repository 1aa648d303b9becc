"""A data directory and its catalog belong together, wherever the catalog is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.catalog import catalog_copy, data_directory
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit import errors, settings
from service.kit.clock import FixedClock
from tests.postgresql import Cluster

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with cluster.database() as found:
        yield found


def use(root: Path, url: str | None = None, *, create: bool = False) -> str:
    """Open the directory as a service does. Returns the class of the store, which has a pipeline if it is new."""
    chosen = settings.load({} if url is None else {"PENSTOCK_CATALOG_URL": url}, data_dir=str(root))

    async def inside() -> str:
        async with data_directory.opened(chosen) as (_, store):
            if create:
                _create(store)
            assert [line.name for line in Pipelines(store, FixedClock()).list(limit=9, offset=0)[0]] == ["a"]
            return type(store).__name__

    return asyncio.run(inside())


def _create(store: Store) -> None:
    Pipelines(store, FixedClock()).create("a", "a", {"name": "a"}, None)


@pytest.mark.services
def test_a_catalog_is_moved_there_and_back(tmp_path: Path, url: str) -> None:
    root, catalog = tmp_path / "data", Layout(tmp_path / "data").catalog
    assert use(root, create=True) == "DuckDBStore"
    with pytest.raises(errors.Conflict, match="copy it with 'penstock catalog copy'"):
        use(root, url)
    catalog_copy.copy(str(root), url)
    assert use(root, url) == use(root, url) == "PostgreSQLStore"
    with pytest.raises(errors.Conflict, match="is in PostgreSQL"):
        use(root)
    with pytest.raises(errors.Conflict, match="rows in"):
        catalog_copy.copy(url, str(root))
    catalog.rename(tmp_path / "old.duckdb")
    catalog_copy.copy(url, str(root))
    assert use(root) == "DuckDBStore"


@pytest.mark.services
def test_a_directory_of_another_database_is_refused(tmp_path: Path, url: str, cluster: Cluster) -> None:
    use(tmp_path / "data", url, create=True)
    with cluster.database() as other:
        catalog_copy.copy(url, other)
        with pytest.raises(errors.Conflict, match="another database"):
            use(tmp_path / "data", other)
        assert use(tmp_path / "new", other) == "PostgreSQLStore"
        Layout(tmp_path / "data").catalog_elsewhere.unlink()
        assert use(tmp_path / "data", other) == "PostgreSQLStore"


@pytest.mark.services
def test_a_second_service_on_a_database_is_refused(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.catalog.postgresql.watch._LEAVING_SECONDS", 0)
    chosen = settings.load({"PENSTOCK_CATALOG_URL": url}, data_dir=str(tmp_path / "first"))

    async def inside() -> None:
        async with data_directory.opened(chosen) as (_, store):
            _create(store)
            with pytest.raises(errors.Conflict, match="in use") as raised:
                await asyncio.to_thread(use, tmp_path / "second", url)
            assert raised.value.error_code == "DATA_DIR_IN_USE"

    asyncio.run(inside())


@pytest.mark.services
def test_processes_that_start_at_once_agree_which_installation_it_is(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them has seen a number when each wants to write one, and each may start again."""
    both, look = threading.Barrier(2), Store.property

    def at_once(store: Store, name: str) -> str | None:
        found = look(store, name)
        if name == "installation":
            both.wait(20)
        return found

    chosen = [
        settings.load(
            {"PENSTOCK_CATALOG_URL": url, "PENSTOCK_WAREHOUSE_URL": f"file://{tmp_path}/store"},
            data_dir=str(tmp_path / name),
        )
        for name in ("first", "second")
    ]

    async def open_it(one: settings.Settings) -> None:
        async with data_directory.opened(one):
            pass

    def start(one: settings.Settings) -> None:
        asyncio.run(open_it(one))

    with ThreadPoolExecutor(2) as threads, monkeypatch.context() as patched:
        patched.setattr(Store, "property", at_once)
        assert list(threads.map(start, chosen)) == [None, None]
    for one in chosen:
        start(one)


def test_who_has_a_file_loads_no_driver(tmp_path: Path) -> None:
    """The extra need not be installed, and costs nothing where it is; with a URL its absence is said."""
    code = (
        "import asyncio, sys\nsys.modules['psycopg'] = None\nimport service.bootstrap\n"
        "from service.catalog import data_directory\nfrom service.kit import errors, settings\n"
        "async def use(**environment):\n"
        "    async with data_directory.opened(settings.load(environment, data_dir=sys.argv[1])): pass\n"
        "asyncio.run(use())\n"
        "ours = ('catalog.postgresql', 'catalog.run_events', 'catalog.audit_row', 'runs.row_', 'runs.event_writer')\n"
        "print([n for n in sys.modules if n.startswith(('psycopg_', *(f'service.{name}' for name in ours)))])\n"
        "try: asyncio.run(use(PENSTOCK_CATALOG_URL='postgresql://h/d'))\n"
        "except errors.Invalid as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "[]"
    assert "pip install 'penstock[cluster]'" in second
