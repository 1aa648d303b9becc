"""Fixtures that several acceptance tests share: stored versions, servers of other people, one installation of many."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.processes import forkserver as server
from service.processes import preloaded
from tests.acceptance import warehouse
from tests.acceptance.foreign import COUNT, NOTE, started
from tests.acceptance.gated_source import Source, a_source
from tests.acceptance.installation import Installation, installed
from tests.acceptance.served import PASSWORD, Served, serving
from tests.acceptance.service import free_port
from tests.acceptance.warehouse import Warehouse
from tests.postgresql import Cluster


@pytest.fixture(scope="module")
def forkserver() -> None:
    server.prepare(preloaded.MODULES)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, forkserver: None) -> Warehouse:
    """A data directory with stored versions, and a running forkserver."""
    return warehouse.build(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def _one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("plain") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_RATE_LIMIT_PER_MINUTE="100000") as served:
        served.login()
        yield served


def _emptied(served: Served) -> Iterator[Served]:
    """Delete what a test or a module stored; none of them has pipelines that wait for others."""
    yield served
    for pipeline in served.json("GET", "/pipeline?limit=1000")["items"]:
        served.json("DELETE", f"/pipeline/{pipeline['name']}?purge=true")
    for file in served.json("GET", "/files?limit=1000")["items"]:
        served.json("DELETE", f"/files/{file['path']}")


@pytest.fixture(scope="module")
def plain(_one_for_all: Served) -> Iterator[Served]:
    """The service of all modules that want nothing special of one; it has nothing when a module begins."""
    yield from _emptied(_one_for_all)


@pytest.fixture
def empty(plain: Served) -> Iterator[Served]:
    """The same service for one test: what this stores is gone after it."""
    yield from _emptied(plain)


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    """Starts processes of one new installation; its leases are short."""
    with installed(cluster, tmp_path) as found:
        yield found


@pytest.fixture
def source() -> Iterator[Source]:
    """A source that answers when its gate is open."""
    with a_source() as found:
        yield found


@pytest.fixture(scope="session")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("datasette"), free_port()
    connection = sqlite3.connect(folder / "shop.db")
    with connection:
        connection.execute("create table orders(id integer primary key, code text, price real, note text)")
        rows = [(i, f"{i:05d}", i / 4, NOTE if i % 7 == 0 else None) for i in range(1, COUNT + 1)]
        connection.executemany("insert into orders values(?, ?, ?, ?)", rows)
    connection.close()
    yield from started([sys.executable, "-m", "datasette", "shop.db", "-p", str(port)], port, folder)


@pytest.fixture(scope="session")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "httpbin:app", "run", "-p", str(port)]
    yield from started(command, port, tmp_path_factory.mktemp("httpbin"))
