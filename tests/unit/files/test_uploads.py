"""The list of uploads has what is in the folder, whoever put it there."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from service.files import uploads
from service.kit import errors


def test_a_name_in_another_encoding_is_listed(tmp_path: Path) -> None:
    """One such file must not hide the others: an answer is UTF-8."""
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("a\n1\n")
    (tmp_path / "café.csv").write_text("a\n1\n")
    listed, total = uploads.list_files(tmp_path, limit=10, offset=0)
    assert total == 2
    assert {file["path"] for file in msgspec.json.decode(msgspec.json.encode(listed))} == {"café.csv", "caf\ufffd.csv"}


def test_a_link_may_stand_for_the_folder_of_uploads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "uploads").symlink_to(tmp_path / "disk")
    incoming = uploads.Incoming(tmp_path / "uploads", "a/b.csv")
    incoming.write(b"x\n1\n")
    incoming.finish()
    assert (tmp_path / "disk" / "a" / "b.csv").read_bytes() == b"x\n1\n"
    uploads.delete(tmp_path / "uploads", "a/b.csv")
    assert not list((tmp_path / "disk").iterdir())


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="No such file or directory"):
        uploads.Incoming(tmp_path / "nowhere", "b.csv")
