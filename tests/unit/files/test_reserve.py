"""The reserve of a disk: held in real blocks, lent by slices to what must work on a full disk, taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.files import disk
from service.files.reserve import SIZE, SLICE, Reserve
from service.kit import errors

MIB = 1 << 20


class Disk:
    """A disk of which only the free space is made up."""

    def __init__(self, total: int = 1 << 40, free: int = 1 << 39) -> None:
        self.total, self.free = total, free

    def fstatvfs(self, _: int) -> SimpleNamespace:
        return SimpleNamespace(f_frsize=1, f_blocks=self.total, f_bavail=self.free)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("os.fstatvfs", made.fstatvfs)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".reserve"


def needs(path: Path, slices: int) -> Callable[[], str]:
    """Work that finds the disk full until the reserve has given so many slices."""

    def work() -> str:
        if path.stat().st_size > SIZE - slices * SLICE:
            raise disk.storage_full()
        return "done"

    return work


def test_it_is_in_blocks_of_the_disk_and_for_its_owner_alone(path: Path) -> None:
    Reserve(path)
    state = path.stat()
    assert (state.st_size, state.st_mode & 0o777) == (SIZE, 0o600)
    assert state.st_blocks * 512 >= SIZE


@pytest.mark.parametrize("before", [b"", b"short", bytes(SIZE + 1)])
def test_one_of_another_length_is_mended(path: Path, before: bytes) -> None:
    path.write_bytes(before)
    path.chmod(0o644)
    Reserve(path)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (SIZE, 0o600)


def test_one_with_holes_is_mended(path: Path) -> None:
    with path.open("wb") as out:
        out.truncate(SIZE)
    Reserve(path)
    assert path.stat().st_blocks * 512 >= SIZE


def test_a_disk_without_room_has_none_until_there_is(path: Path, small: Disk) -> None:
    small.free = SIZE
    kept = Reserve(path)
    assert path.stat().st_size == 0
    with pytest.raises(errors.Unavailable):
        kept.spend(_fail)
    small.free = 2 * SIZE
    kept.take()
    assert path.stat().st_size == SIZE


def test_it_is_small_on_a_small_disk(path: Path, small: Disk) -> None:
    small.total = small.free = 24 * MIB
    Reserve(path)
    assert path.stat().st_size == 24 * MIB // 16


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_not_a_file_is_left_alone(path: Path, kind: str) -> None:
    other = path.with_name("other")
    other.write_bytes(b"mine")
    path.mkdir() if kind == "folder" else path.symlink_to(other)
    with pytest.raises(errors.Unavailable):
        Reserve(path).spend(_fail)
    assert other.read_bytes() == b"mine"


def test_work_gets_slices_until_it_succeeds(path: Path, small: Disk) -> None:
    kept = Reserve(path)
    small.free = 0
    assert kept.spend(needs(path, 3)) == "done"
    assert path.stat().st_size == SIZE - 3 * SLICE


def test_what_the_work_left_goes_back_at_once(path: Path, small: Disk) -> None:
    kept = Reserve(path)
    small.free = SLICE - 10_000
    assert kept.spend(needs(path, 1)) == "done"
    assert path.stat().st_size > SIZE - SLICE // 2


def test_the_last_slice_is_the_end(path: Path, small: Disk) -> None:
    kept = Reserve(path)
    small.free = 0
    with pytest.raises(errors.Unavailable) as raised:
        kept.spend(_fail)
    assert raised.value.error_code == "STORAGE_FULL"
    assert path.stat().st_size == 0
    small.free = 1 << 39
    kept.take()
    assert path.stat().st_size == SIZE


def test_one_that_somebody_removed_is_made_again(path: Path) -> None:
    kept = Reserve(path)
    path.unlink()
    with pytest.raises(errors.Unavailable):
        kept.spend(_fail)
    assert path.stat().st_size == SIZE


def test_another_error_costs_nothing(path: Path) -> None:
    kept = Reserve(path)

    def work() -> None:
        raise errors.Missing("no")

    with pytest.raises(errors.Missing):
        kept.spend(work)
    assert path.stat().st_size == SIZE


def test_who_takes_it_back_does_not_wait_for_who_uses_it(path: Path, small: Disk) -> None:
    """A write that commits takes it back while another one, which waits for that write, uses it."""
    kept = Reserve(path)
    small.free = 0
    enough = needs(path, 1)

    def work() -> str:
        kept.take()
        return enough()

    assert kept.spend(work) == "done"


def _fail() -> str:
    raise disk.storage_full()
