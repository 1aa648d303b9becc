"""Fixtures that several acceptance tests share."""

from __future__ import annotations

import pytest

from service.processes import child, preloaded
from tests.acceptance import warehouse
from tests.acceptance.warehouse import Warehouse


@pytest.fixture(scope="module")
def forkserver() -> None:
    child.prepare(preloaded.MODULES)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, forkserver: None) -> Warehouse:
    """A data directory with stored versions, and a running forkserver."""
    return warehouse.build(tmp_path_factory.mktemp("data"))
