"""The database of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgresql import Cluster


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with cluster.database() as found:
        yield found
