"""Readiness is open to everybody: what it says of damaged data names no private pipeline."""

from __future__ import annotations

from pathlib import Path

from service.catalog.history import History
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.model.rights import Rights
from service.query.integrity import Integrity
from service.runs.condition import Condition
from tests import stores

pytestmark = stores.BOTH


class Damaged(Integrity):
    """Two versions are damaged."""

    def damaged(self) -> list[str]:
        return ["orders@3", "payroll@1"]


def test_private_pipelines_are_not_named(tmp_path: Path, clock: FixedClock) -> None:
    store, layout = stores.new(), Layout(tmp_path)
    for name in ("orders", "payroll"):
        Pipelines(store, clock).create(name, name, {}, "ann")
    condition = Condition(store, History(store), layout, Damaged(layout))
    assert condition.report() == "damaged: orders@3, payroll@1"
    Ownership(store).change("payroll", Rights(username="root", role="admin"), {"visibility": "private"})
    told = condition.report()
    assert told.startswith("damaged: orders@3, versions of private pipelines")
    assert "payroll" not in told
