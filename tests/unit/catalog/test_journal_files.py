"""Journals of runs become rows, and files again, with the same events and ids."""

from __future__ import annotations

from pathlib import Path

from service.catalog import journal_files
from service.catalog.history import History
from service.catalog.run_events import RunEvents
from service.files import event_journal
from service.files.event_journal import EventJournal
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.model.run import Run
from tests import stores

pytestmark = stores.BOTH


def test_journals_are_taken_over_and_given_back_byte_for_byte(tmp_path: Path, clock: FixedClock) -> None:
    store, layout = stores.new(), Layout(tmp_path / "data")
    layout.create()
    for name in ("run_0", "run_1", "run_2"):
        run = Run(run_id=name, pipeline=name, revision=1, status="queued", queued_at=clock.now())
        History(store).add_run(name, run)
    layout.log("run_0").write_bytes(b'{"event":"of an old release"}\n')
    for name in ("run_0", "run_1", "run_gone"):
        journal = EventJournal(layout.log(name))
        for number in range(1200):
            journal.append("log", b'{"n":%d,"text":"\\u0000 \xc3\xa9"}' % number)
    before = {path.name: path.read_bytes() for path in layout.logs.iterdir()}
    journal_files.take_over(store, layout)
    assert [path.stem for path in layout.logs.iterdir()] == ["run_gone"]
    rows = RunEvents(store)
    assert rows.page("run_1", 1199)[0].id == 1200
    assert next(rows.log_lines("run_0"))[0] == b'{"event":"of an old release"}'
    assert rows.page("run_0", 0)[0].id == 1  # nobody follows that line
    layout.log("run_1").write_bytes(before["run_1.ndjson"])
    layout.log("run_0").write_bytes(b"")
    journal_files.take_over(store, layout)  # which was interrupted before it had removed one; and one that differs
    assert sorted(path.stem for path in layout.logs.iterdir()) == ["run_0", "run_gone"]
    journal_files.give_back(store, layout)
    assert {path.name: path.read_bytes() for path in layout.logs.iterdir()} == before
    assert store.rows("SELECT * FROM run_events") == []
    assert event_journal.read(layout.log("run_1"))[0][0].id == 1
    assert layout.log("run_1").stat().st_mode & 0o777 == 0o600
