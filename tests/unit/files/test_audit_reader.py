"""Pages of the audit log: newest first, in bounded memory, none twice and none left out."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from service.files import audit_file, audit_reader
from service.files.audit_reader import Position
from tests.unit.files.audit_lines import DAY, written

NEXT = date(2026, 1, 2)


def everything(folder: Path) -> list[bytes]:
    files = [audit_file.path(folder, day) for day in audit_file.days(folder)]
    return [line for file in files for line in file.read_bytes().splitlines()][::-1]


@pytest.mark.parametrize("block", [7, 100, 64 * 1024])
@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, limit: int) -> None:
    monkeypatch.setattr(audit_reader, "_BLOCK", block)
    written(tmp_path, 3, 4)
    written(tmp_path, 5, day=NEXT)
    found: list[bytes] = []
    page = audit_reader.read(tmp_path, lambda _: True, limit=limit)
    found += page.lines
    while page.next is not None:
        assert len(page.lines) == limit
        page = audit_reader.read(tmp_path, lambda _: True, limit=limit, before=Position.of(str(page.next)))
        found += page.lines
    assert found == everything(tmp_path)


def test_a_page_reads_a_bounded_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_reader, "MOST_BYTES", 500)
    written(tmp_path, 10)
    pages, page = 1, audit_reader.read(tmp_path, lambda line: b'"n":1,' in line, limit=5)
    assert page.lines == []
    while page.next is not None:
        page = audit_reader.read(tmp_path, lambda line: b'"n":1,' in line, limit=5, before=page.next)
        pages += 1
    assert (len(page.lines), pages) == (1, 3)


def test_days(tmp_path: Path) -> None:
    written(tmp_path, 2)
    written(tmp_path, 3, day=NEXT)
    (tmp_path / "notes.ndjson").write_text("x\n")
    (tmp_path / "2026-02-31.ndjson").write_text("x\n")
    assert [len(audit_reader.read(tmp_path, lambda _: True, limit=9, first=f, last=t).lines) for f, t in (
        (DAY, None), (NEXT, None), (None, DAY), (None, None), (date(2026, 1, 3), None),
    )] == [5, 3, 2, 5, 0]  # fmt: skip


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    written(tmp_path, 2)
    file = audit_file.path(tmp_path, DAY)
    file.write_bytes(file.read_bytes() + b'{"chain":"chn_0"')
    assert len(audit_reader.read(tmp_path, lambda _: True, limit=9).lines) == 2
    file.write_bytes(b'{"chain":"chn_0"')
    assert audit_reader.read(tmp_path, lambda _: True, limit=9).lines == []
    file.write_bytes(b"x" * 3_000_000)
    assert audit_reader.read(tmp_path, lambda _: True, limit=9).lines == []


@pytest.mark.parametrize(
    "text", ["", "x", "2026-01-01", "2026-01-01:", "2026-13-01:5", "2026-01-01:-5", "2026-01-01:5 "]
)
def test_positions(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Position.of(text)
