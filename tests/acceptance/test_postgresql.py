"""A service whose catalog is in PostgreSQL: it outlives restarts of the server, and its own death."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from service.files.layout import Layout
from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving, upload_and_create
from tests.postgresql import Cluster

pytestmark = pytest.mark.services
SECRET = "hunter2"


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    """The URL of an empty database, with a password (which the server does not ask for)."""
    with cluster.database() as found:
        parts = urlsplit(found)
        yield urlunsplit(parts._replace(netloc=parts.netloc.replace("@", f":{SECRET}@")))


def started(data: Path, url: str) -> Any:
    return serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_CATALOG_URL=url)


def command(data: Path, *words: str, url: str | None = None) -> str:
    more = {} if url is None else {"PENSTOCK_CATALOG_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=120, cwd=data.parent,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT), PENSTOCK_DATA_DIR=str(data), **more), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def count(served: Served) -> Any:
    return served.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})["data"][0]["n"]


def count_at_last(served: Served) -> Any:
    """The count; a server that takes more than ten seconds to come back is asked again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return count(served)
        except AssertionError:
            if time.monotonic() > deadline:
                raise


def test_a_service_outlives_its_server_and_itself_and_is_moved_back(tmp_path: Path, cluster: Cluster, url: str) -> None:
    data = tmp_path / "data"
    with started(data, url) as served:
        served.login()
        upload_and_create(served)
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "completed"
        cluster.stop("immediate")
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(count_at_last(served)))
        asking.start()
        cluster.start()
        asking.join()
        assert answers == [3]
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "completed"
        tables = served.json("POST", "/query", json={"sql": "SELECT status FROM penstock.runs"})["data"]
        assert [row["status"] for row in tables] == ["completed"] * 2
        assert served.json("POST", "/admin/backup", json={"directory": str(tmp_path / "backup")})["versions"] >= 1
        served.process.kill()
        served.ended()
        assert not any(SECRET in line for line in [*served.err.all(), *served.out.all()])
    with started(data, url) as served:
        served.login()
        assert count(served) == 3
    assert not Layout(data).catalog.exists()
    assert "completed" in command(data, "list", url=url)
    command(data, "catalog", "copy", url, str(data))
    assert "completed" in command(data, "list")
    restored = tmp_path / "restored"
    command(restored, "restore", str(tmp_path / "backup"))
    assert "completed" in command(restored, "list")
    command(restored, "verify", "--deep")
