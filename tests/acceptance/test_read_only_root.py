"""The service on a file system that is read-only but for its data directory, as a container may be run.

The kernel refuses every other write (Landlock, which a process can only narrow and its children inherit).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.processes import landlock
from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, listening_as

_CONFINED = (
    "import os, sys; from service.processes import landlock; "
    "landlock.restrict(read=['/'], write=[sys.argv[1], '/dev'], network=True); "
    "os.chdir(sys.argv[1]); os.execv(sys.executable, [sys.executable, '-m', 'service', *sys.argv[2:]])"
)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for sockets below it, as that of a container does."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_everything_works_where_only_the_data_directory_can_be_written(short: Path) -> None:
    assert landlock.abi() > 0, "the kernel of this machine has no Landlock"
    data = short / "data"
    data.mkdir()
    env = service.clean_environment(PYTHONPATH=str(documents.ROOT), PENSTOCK_ADMIN_PASSWORD=PASSWORD)
    env.pop("TMPDIR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", _CONFINED, str(data), "serve", "--port", "0", "--data-dir", str(data)],
        env=env, cwd=short, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with listening_as(process, data) as served:
        served.login()
        with served.client() as client:
            client.upload("orders.csv", b"id,amount\n1,2.5\n2,3.5\n2,3.5\n")
            client.create(
                {
                    "name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv"}],
                    "processors": [{"type": "cleaner", "config": {"drop_duplicates": {}}}, {"type": "analyzer"}],
                    "storage": [{"type": "parquet"}, {"type": "duckdb"}],
                }
            )  # fmt: skip
            client.execute("orders", progress=False)
            assert client.query("SELECT sum(amount) AS total FROM orders").rows() == [(6.0,)]
            assert client.profile("orders")
    assert [path.name for path in short.iterdir() if path.is_dir()] == ["data"]
