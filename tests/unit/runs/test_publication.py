"""What collectors remember comes along into a new version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.runs import messages, publication
from service.runs.messages import Allowance, Order, Prepared, Quarantine, Remembered
from service.steps.storage import File


@pytest.mark.parametrize("links", [True, False])
def test_files_that_stay_are_those_of_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """With hard links they take no space; a file system without them gets copies."""
    name = "state/users/rows-000000.parquet"
    kept = tmp_path / "v000001" / name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"rows")
    file = File(name, 4, 0, "")
    order = Order(
        run_id="r", pipeline_id="p", document={}, revision=1, version=2, created=datetime(2026, 1, 1, tzinfo=UTC),
        allowance=Allowance(folder=str(tmp_path / "staging"), memory_bytes=0),
        remembered=Remembered(folder=str(tmp_path / "v000001"), files=[file]),
    )  # fmt: skip
    prepared = Prepared(
        rows=0, rows_collected=0, rows_rejected=0, files=[], quarantine=Quarantine(files=[], refusals=[], columns=[]),
        tape=file, state=[file], stays=[name], columns=[], sources=[],
        steps=[], warnings=[], profiles=[], fitted={}, deferred=[], peak_memory_bytes=0,
    )  # fmt: skip
    if not links:

        def refused(self: Path, target: Path) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    publication.carry(order, prepared)
    copy = tmp_path / "staging" / name
    assert copy.read_bytes() == b"rows"
    assert (copy.stat().st_ino == kept.stat().st_ino) is links
    assert messages.said(messages.encode(prepared)) == prepared
