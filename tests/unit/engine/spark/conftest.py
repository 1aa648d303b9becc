"""One server for the tests of a process, and one session for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.spark.cluster import Cluster
from tests import sail


@pytest.fixture(scope="session")
def spark_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server: the one that ``sail.VARIABLE`` names, or a Sail server."""
    given = os.environ.get(sail.VARIABLE)
    if given is not None:
        yield given
        return
    with sail.server(tmp_path_factory.mktemp("sail")) as url:
        yield url


@pytest.fixture
def cluster(spark_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """A session of its own."""
    made = Cluster(spark_url, str(uuid.uuid4()), tmp_path)
    yield made
    made.close()
