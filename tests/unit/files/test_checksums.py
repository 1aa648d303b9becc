"""What a stored file may not have become, and how often its bytes are read."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from service.files import checksums
from service.files.checksums import Checksums


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "not a regular file": _link,
    "is not a regular file": _folder,
    "rows.parquet is not a regular file": _pipe,
    "another checksum": _flip,
    "3 bytes instead of 4": lambda path: os.truncate(path, 3),
    "No such file": Path.unlink,
}


@pytest.mark.parametrize("fault", DAMAGES)
def test_requirement_22_every_damage_is_found(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"rows")
    known, checksum = Checksums(), checksums.sha256(path)
    assert known.fault(path, 4, checksum) is None
    DAMAGES[fault](path)
    assert fault in (known.fault(path, 4, checksum) or "")


def test_requirement_22_each_flipped_bit_is_found(tmp_path: Path) -> None:
    path, draw = tmp_path / "part-00000.parquet", random.Random(22)
    pl.DataFrame({"n": range(2000), "s": [f"text {n % 7}" for n in range(2000)]}).write_parquet(path)
    whole, checksum = path.read_bytes(), checksums.sha256(path)
    for bit in draw.sample(range(len(whole) * 8), 100):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert "another checksum" in (Checksums().fault(path, len(whole), checksum) or ""), bit
    path.write_bytes(whole)
    assert Checksums().fault(path, len(whole), checksum) is None


def test_a_file_that_may_not_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if its checksum is known: the child that opens it has no better word for it."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"rows")
    known, checksum = Checksums(), checksums.sha256(path)
    assert known.fault(path, 4, checksum) is None
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs the tests may be root
    assert known.fault(path, 4, checksum) == "rows.parquet cannot be read (Permission denied)"


def test_bytes_are_read_once_under_all_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later versions share unchanged parts by hard links."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"rows")
    checksum = checksums.sha256(path)
    read: list[Path] = []

    def reading(path: Path) -> str:
        read.append(path)
        return checksum

    monkeypatch.setattr(checksums, "sha256", reading)
    (tmp_path / "again.parquet").hardlink_to(path)
    known = Checksums()
    assert [known.fault(p, 4, checksum) for p in (path, path.with_name("again.parquet"), path)] == [None] * 3
    path.chmod(stat.S_IRUSR)
    assert known.fault(path, 4, checksum) is None
    assert read == [path]


def test_a_small_file_is_hashed_through_a_small_buffer(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"rows")
    tracemalloc.start()
    try:
        assert checksums.sha256(path) == hashlib.sha256(b"rows").hexdigest()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 20


def _unread(_: Path) -> str:
    raise AssertionError("the file is read a second time")


@pytest.mark.parametrize("sizes", [[], [1], [300_000, 1, 3_000_000]])
def test_a_file_is_hashed_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    path, draw = tmp_path / "part", random.Random(15)
    monkeypatch.setattr(checksums, "sha256", _unread)
    with checksums.Following(path) as followed, path.open("wb", buffering=0) as file:
        for size in sizes:
            file.write(draw.randbytes(size))
    assert followed.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_took_the_place_of_the_followed_one_is_read_again(tmp_path: Path) -> None:
    path, other = tmp_path / "part", tmp_path / "other"
    path.write_bytes(b"rows")
    other.write_bytes(b"cols")
    with checksums.Following(path) as followed:
        pass
    other.replace(path)
    assert followed.hexdigest() == hashlib.sha256(b"cols").hexdigest()


def test_a_file_that_is_longer_than_what_was_followed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"rows")
    with checksums.Following(path) as followed:
        pass
    path.write_bytes(b"rows and more")
    assert followed.hexdigest() == hashlib.sha256(b"rows and more").hexdigest()


def test_a_write_that_fails_ends_what_follows_it(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(OSError, match="full"), checksums.Following(tmp_path / "part"):
        raise OSError("full")
    assert threading.active_count() == threads
