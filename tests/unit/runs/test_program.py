"""Versions are known to be written by the same program from one start to the next, until it is another one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from service.catalog.history import History
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import program
from service.runs.job_resources import JobResources
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = FIRST + timedelta(days=1)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = stores.new()
    yield opened
    opened.close()


def test_the_first_start_counts_until_the_program_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.same_since(store, FIRST) == FIRST
    assert program.same_since(store, LATER) == FIRST
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == "polars" else installed(name))
    assert program.same_since(store, LATER) == LATER
    monkeypatch.undo()
    assert program.same_since(store, LATER + timedelta(days=1)) == LATER + timedelta(days=1), "what 99 wrote is other"


@pytest.mark.parametrize(
    ("changes", "alike"),
    [({}, True), ({"created": FIRST}, False), ({"revision": 2}, False), ({"restored_from": 1}, False)],
)
def test_a_version_of_this_program_and_revision_is_alike(changes: dict[str, Any], alike: bool) -> None:
    layout = Layout(Path("/data"))
    version = Version(
        pipeline="p", version=1, run_id="r", revision=1, table="p", rows=0, bytes=0, columns=[], files=[], sources=[],
        created=LATER,
    )  # fmt: skip
    history = cast(History, type("One", (), {"newest": lambda _, __: msgspec.structs.replace(version, **changes)})())
    resources = JobResources(
        Settings(), layout, history, REGISTRY, FixedClock(), {}, Integrity(layout),
        same_since=LATER - timedelta(hours=1),
    )  # fmt: skip
    record = cast(Any, type("Record", (), {"id": "id", "revision": 1})())
    base = resources.base(record, "replace")
    assert base is not None
    assert base.alike is alike
