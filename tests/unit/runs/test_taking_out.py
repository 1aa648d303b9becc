"""What a kept worker made is moved out of its reach; a link in its place leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.kit import errors
from service.runs import attempt


def test_a_folder_is_moved(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "part").write_bytes(b"rows")
    attempt._move(tmp_path / "made", tmp_path / "staged")
    assert (tmp_path / "staged" / "part").read_bytes() == b"rows"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "made").symlink_to(other)
    with pytest.raises(errors.Permanent, match="left a link"):
        attempt._move(tmp_path / "made", tmp_path / "staged")
    assert not (tmp_path / "staged").is_symlink()
    assert not list(other.iterdir())
