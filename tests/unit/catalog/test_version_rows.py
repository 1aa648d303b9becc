"""A version that is stored can be read again, also one that an older release wrote with infinite figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.catalog import version_rows
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.kit.clock import FixedClock
from service.model.run import Run
from service.model.version import Column, Version
from service.values.profile import ColumnProfile, Correlation, Histogram, Profile
from tests import stores

pytestmark = stores.BOTH

T0 = datetime(2026, 1, 31, tzinfo=UTC)


def a_version(edges: list[Any]) -> Version:
    column = ColumnProfile(
        name="a", type="float64", count=2, missing=0, missing_share=0.0, histogram=Histogram(edges, [1, 1])
    )
    profile = Profile(
        row_count=2, column_count=1, duplicate_rows=0, columns=[column],
        correlation=Correlation("none", [], []), warnings=[],
    )  # fmt: skip
    return Version(
        pipeline="orders", version=1, run_id="run_1", revision=1, table="orders", rows=2, bytes=1,
        columns=[Column("a", "Float64")], files=[], sources=[], created=T0, profiles=[profile],
    )  # fmt: skip


def test_a_version_with_infinite_edges_is_read_without_them() -> None:
    found = version_rows.read(msgspec.json.encode(a_version([0.0, float("inf"), 1.0])).decode())
    assert found.profiles[0].columns[0].histogram == Histogram([], [])
    sound = a_version([0.0, 0.5, 1.0])
    assert version_rows.read(msgspec.json.encode(sound).decode()) == sound


def test_a_version_that_could_not_be_read_is_not_committed() -> None:
    store = stores.new()
    identity = Pipelines(store, FixedClock()).create("orders", "orders", {"name": "orders"}, "ann").id
    history = History(store)
    run = Run(run_id="run_1", pipeline="orders", revision=1, status="running", queued_at=T0)
    history.add_run(identity, run)
    done = msgspec.structs.replace(run, status="completed", version=1, rows_stored=2, start_time=T0, end_time=T0)
    with pytest.raises(msgspec.ValidationError, match="edges"):
        history.publish(identity, done, a_version([0.0, float("nan"), 1.0]))
    assert history.newest(identity) is None
    history.publish(identity, done, a_version([0.0, 0.5, 1.0]))
    assert History(store).newest(identity) is not None
    store.close()
