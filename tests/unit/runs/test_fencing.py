"""An attempt that was cancelled or superseded cannot publish, in whatever order things happen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from service.catalog.history import History
from service.files import layout
from service.files.layout import Layout, children
from service.jobs.messages import Grants, Order
from service.kit import errors
from service.model import lifecycle
from service.model.lifecycle import Status
from service.model.run import Run
from service.runs import publication
from service.steps.storage import File
from tests import stores
from tests.registry import a_pipeline
from tests.unit.runs.preparing import prepared

pytestmark = stores.BOTH

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Shop:
    """A catalog with one run whose first attempt has its rows ready."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.create()
        self.history = History(stores.new())
        self.run = Run(run_id="run_1", pipeline="p", revision=1, status="running", queued_at=T0)
        self.history.add_run("pl", self.run)

    def publish(self, fence: int) -> None:
        staging = self.layout.staging("run_1")
        staging.mkdir(exist_ok=True)
        (staging / "part-0.parquet").write_bytes(b"rows")
        file = File("part-0.parquet", 4, 1, "")
        order = Order(
            run_id="run_1", pipeline_id="pl", document={}, revision=1, version=1, created=T0,
            grants=Grants(folder=str(staging), memory_bytes=0),
        )  # fmt: skip
        publication.publish(
            self.history, self.layout, a_pipeline(), order, prepared(file, rows=1, files=[file]), self.run, T0, 1.0,
            fence,
        )  # fmt: skip

    def change(self, status: Status) -> None:
        self.run = msgspec.structs.replace(self.run, status=status)
        self.history.change_run(self.run)

    def is_untouched(self) -> bool:
        with pytest.raises(errors.Missing):
            self.history.version("pl", "p")
        return not children(self.layout.pipeline("p")) and not children(self.layout.staging_root)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_an_attempt_whose_token_was_taken_over_stores_nothing(shop: Shop) -> None:
    shop.change("retrying")
    shop.run = msgspec.structs.replace(shop.run, status="running")
    newer = shop.history.begin_attempt(shop.run)
    with pytest.raises(lifecycle.Superseded):
        shop.publish(1)
    assert shop.is_untouched()
    shop.publish(newer)
    assert shop.history.version("pl", "p").version == 1


def test_a_takeover_between_the_rename_and_the_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_over(path: Path) -> None:
        if path == shop.layout.pipeline("p"):
            shop.change("retrying")
            shop.history.begin_attempt(msgspec.structs.replace(shop.run, status="running"))
        layout.flush(path)

    monkeypatch.setattr(publication, "flush", taken_over)
    with pytest.raises(lifecycle.Superseded):
        shop.publish(1)
    assert shop.is_untouched()


@pytest.mark.parametrize("status", ["cancelled", "failed", "interrupted", "retrying"])
def test_a_run_that_was_ended_is_not_published(shop: Shop, status: Status) -> None:
    shop.change(status)
    with pytest.raises(lifecycle.IllegalTransition):
        shop.publish(1)
    assert shop.is_untouched()


def test_a_run_that_was_published_is_not_cancelled(shop: Shop) -> None:
    shop.publish(1)
    with pytest.raises(lifecycle.IllegalTransition):
        shop.history.change_run(msgspec.structs.replace(shop.run, status="cancelled"), 1)
    assert shop.history.run("run_1").status == "completed"
    assert shop.history.version("pl", "p").version == 1
