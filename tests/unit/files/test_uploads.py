"""The list of uploads has what is in the folder, whoever put it there."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from service.files import uploads


def test_a_name_in_another_encoding_is_listed(tmp_path: Path) -> None:
    """One such file must not hide the others: an answer is UTF-8."""
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("a\n1\n")
    (tmp_path / "café.csv").write_text("a\n1\n")
    listed, total = uploads.list_files(tmp_path, limit=10, offset=0)
    assert total == 2
    assert {file["path"] for file in msgspec.json.decode(msgspec.json.encode(listed))} == {"café.csv", "caf\ufffd.csv"}
