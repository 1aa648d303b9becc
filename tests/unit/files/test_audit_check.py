"""Whatever somebody does to a file of the audit log, the check names the file and the line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pytest

from service.files import audit_check, audit_file
from service.files.audit_check import faults
from service.files.audit_file import BEGIN, Head
from tests.unit.files.audit_lines import DAY, written

Lines = list[bytes]


def rewritten(lines: Lines, start: int) -> Lines:
    """The lines with the hashes that somebody computes who knows how."""
    head = Head(chain="chn_1", day=DAY, begin=0, end=0)
    found = []
    for line in lines[start:]:
        body = line[: line.rindex(b',"hash":')].split(b",", 2)[2]
        head, text = audit_file.line(head, b"{" + body + b"}")
        found.append(text)
    return lines[:start] + found


def changed(lines: Lines) -> Lines:
    return [*lines[:5], lines[5].replace(b'"ann"', b'"bob"'), *lines[6:]]


TAMPERED: dict[str, tuple[Callable[[Lines], Lines], int, str]] = {
    "changed": (changed, 6, "changed"),
    "hash changed": (lambda ls: [*ls[:5], ls[5].replace(ls[5][-8:-3], b"00000"), *ls[6:]], 6, "changed"),
    "removed": (lambda ls: ls[:5] + ls[6:], 6, "1 lines before it are missing"),
    "removed at the start": (lambda ls: ls[1:], 1, "1 lines before it are missing"),
    "added": (lambda ls: [*ls[:5], ls[4], *ls[5:]], 6, "out of order, or there twice"),
    "added text": (lambda ls: [*ls[:5], b"hello\n", *ls[5:]], 6, "not a line of the log"),
    "empty line": (lambda ls: [*ls, b"\n"], 9, "not a line of the log"),
    "swapped": (lambda ls: [*ls[:5], ls[6], ls[5], ls[7]], 6, "missing"),
    "cut": (lambda ls: ls[:6], 6, "2 of the 5 lines of the chain chn_1 are missing at its end"),
    "cut in a line": (lambda ls: [*ls[:7], ls[7][:20]], 8, "not a line of the log"),
    "emptied": (lambda ls: [], 0, "3 of the 3 lines"),
    "chain removed": (lambda ls: ls[:3], 3, "5 of the 5 lines"),
    "chains swapped": (lambda ls: ls[3:] + ls[:3], 6, "out of order"),
    "chains mixed": (lambda ls: [ls[0], ls[3], *ls[1:3], *ls[4:]], 3, "out of order"),
    "chain written again": (lambda ls: rewritten(changed(ls), 3), 8, "its chain was written again"),
    "foreign chain": (lambda ls: [*ls, ls[4].replace(b"chn_1", b"chn_9")], 9, "does not know its chain chn_9"),
    "end added": (
        lambda ls: [*ls, audit_file.line(
            Head(chain="chn_1", day=DAY, begin=0, end=0, lines=5, hash=ls[-1][-67:-3].decode()), b'{"a":1}')[1]],
        9, "added after the end",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_named(tmp_path: Path, kind: str) -> None:
    heads = written(tmp_path, 3, 5)
    file = audit_file.path(tmp_path, DAY)
    assert [*faults(tmp_path, heads)] == []
    change, line, message = TAMPERED[kind]
    lines = change(file.read_bytes().splitlines(keepends=True))
    assert lines != file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines))
    first = next(faults(tmp_path, heads))
    assert (first.file, first.line) == (file, line), first
    assert message in first.message


def test_a_file_that_is_missing_or_foreign(tmp_path: Path) -> None:
    heads = written(tmp_path, 3)
    audit_file.path(tmp_path, DAY).rename(audit_file.path(tmp_path, date(2026, 1, 2)))
    found = [(f.file.name, f.line, f.message) for f in faults(tmp_path, heads)]
    assert found == [
        ("2026-01-01.ndjson", None, "the file is missing; it had 3 lines"),
        ("2026-01-02.ndjson", None, "the catalog knows no chain of this file"),
    ]


def test_a_dropped_file_is_not_missed(tmp_path: Path) -> None:
    heads = [msgspec.structs.replace(head, dropped=True) for head in written(tmp_path, 3)]
    assert [*faults(tmp_path, heads)] == []
    audit_file.path(tmp_path, DAY).unlink()
    assert [*faults(tmp_path, heads)] == []


def test_many_faults_of_a_file_are_counted(tmp_path: Path) -> None:
    heads = written(tmp_path, 3)
    audit_file.path(tmp_path, DAY).write_bytes(b"x\n" * 10_000)
    found = [*faults(tmp_path, heads)]
    assert (len(found), found[-1].message) == (
        21, "more than 20 lines are not as they were written; the first are named",
    )  # fmt: skip


def test_a_chain_that_is_open_may_be_longer_than_its_head(tmp_path: Path) -> None:
    (last,) = written(tmp_path, 5, closed=False)
    (before,) = written(tmp_path / "short", 3, closed=False)
    assert [*faults(tmp_path, [before])] == []
    assert last.lines > before.lines
    file = audit_file.path(tmp_path, DAY)
    file.write_bytes(file.read_bytes()[:-20])
    assert [*faults(tmp_path, [before])] == []  # the process was killed while it wrote the last line
    assert [f.line for f in faults(tmp_path, [last])] == [5]  # but the head says that it was whole
    assert [f.line for f in faults(tmp_path, [msgspec.structs.replace(before, closed=True)])] == [4, 5]


def test_a_line_that_is_not_whole_is_cut_off_after_a_kill(tmp_path: Path) -> None:
    (before,) = written(tmp_path / "short", 3, closed=False)
    (after,) = written(tmp_path, 5, closed=False)
    file = audit_file.path(tmp_path, DAY)
    whole = file.read_bytes()
    assert audit_file.mend(file, before) == (msgspec.structs.replace(after, closed=True), 0)
    for left in range(1, len(whole) - after.end + 80):
        file.write_bytes(whole + whole[: 80 - left])
        head, cut = audit_file.mend(file, before)
        assert (head.lines, cut, file.read_bytes()) == (5, 80 - left, whole)
        assert [*faults(tmp_path, [head])] == []


def test_mending_hides_nothing(tmp_path: Path) -> None:
    (head,) = written(tmp_path, 5, closed=False)
    file = audit_file.path(tmp_path, DAY)
    whole = file.read_bytes()
    for text in (whole[:-20], whole[:20], b"", whole + b"hello\n", whole.replace(b"ann", b"bob")):
        file.write_bytes(text)
        closed, cut = audit_file.mend(file, head)
        assert (closed, cut, file.read_bytes()) == (msgspec.structs.replace(head, closed=True), 0, text)
        assert [*faults(tmp_path, [closed])]


def test_chains_that_only_the_files_know(tmp_path: Path) -> None:
    heads = written(tmp_path, 3, 5, 2)
    assert audit_check.unknown(tmp_path, heads) == []
    assert audit_check.unknown(tmp_path, heads[:1]) == heads[1:]
    file = audit_file.path(tmp_path, DAY)
    file.write_bytes(file.read_bytes().replace(b'"n":2', b'"n":3', 2))
    assert audit_check.unknown(tmp_path, []) == heads[2:]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    written(tmp_path, 1)
    file = audit_file.path(tmp_path, DAY)
    audit_file.path(tmp_path, date(2026, 1, 2)).symlink_to(file)
    with pytest.raises(OSError, match="symbolic"):
        next(audit_file.lines(audit_file.path(tmp_path, date(2026, 1, 2))))
    assert BEGIN == "0" * 64
