"""The nightly scrub: a flipped bit that no reader would notice is found, at a bounded rate."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.kit import errors
from service.kit.clock import FixedClock, SystemClock
from service.query.integrity import Integrity
from service.runs.scrub import HOUR, Scrub, next_night
from tests.unit.runs.disasters import NAME, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    found = Directory(tmp_path / "data")
    found.publish(1)
    found.publish(2)
    return found


def flip_unseen(path: Path) -> None:
    """Flip a bit, and leave size and time of the file as they were."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_requirement_22_a_flipped_bit_is_found_and_readers_know(directory: Directory) -> None:
    with Opened(directory) as opened:
        integrity = Integrity(directory.layout)
        versions = [c.version for c in opened.history.committed()]
        for version in versions:
            integrity.checked(version)
        flip_unseen(directory.layout.version("shop", 1) / NAME)
        integrity.checked(versions[0])  # it is known by size and time
        scrub = Scrub(opened.history, directory.layout, integrity, SystemClock(), 1000)
        assert asyncio.run(scrub.sweep()) == ["shop@1"]
        with pytest.raises(errors.PenstockError, match="version 1 of 'shop' is damaged"):
            integrity.checked(versions[0])
        integrity.checked(versions[1])
        flip_unseen(directory.layout.version("shop", 1) / NAME)
        assert asyncio.run(scrub.sweep()) == []


def test_a_missing_version_is_damaged_unless_it_was_deleted(directory: Directory) -> None:
    with Opened(directory) as opened:
        scrub = Scrub(opened.history, directory.layout, Integrity(directory.layout), SystemClock(), 1000)
        directory.layout.version("shop", 2).rename(directory.layout.root / "elsewhere")
        assert asyncio.run(scrub.sweep()) == ["shop@2"]
        opened.pipelines.delete("shop")
        fresh = Scrub(opened.history, directory.layout, Integrity(directory.layout), SystemClock(), 1000)
        assert asyncio.run(fresh.sweep()) == []


def test_the_rate_is_bounded(directory: Directory) -> None:
    size = sum(p.stat().st_size for p in directory.layout.warehouse.rglob(NAME))
    with Opened(directory) as opened:
        rate = size / 0.2 / (1 << 20)  # so that all takes a fifth of a second
        scrub = Scrub(opened.history, directory.layout, Integrity(directory.layout), SystemClock(), rate)
        began = time.monotonic()
        assert asyncio.run(scrub.sweep()) == []
        assert time.monotonic() - began >= 0.19


class Stalling(FixedClock):
    """The second look at the clock comes after an hour; ``slept`` adds up the seconds of all sleeps."""

    looks, slept = 0, 0.0

    def monotonic(self) -> float:
        self.looks += 1
        if self.looks == 2:
            self.advance(3600)
        return super().monotonic()

    async def sleep_until(self, moment: datetime) -> None:
        seconds = (moment - self.now()).total_seconds()
        self.slept += seconds
        self.advance(seconds)


def test_a_disk_that_stood_still_is_not_read_faster_afterwards(directory: Directory) -> None:
    path = directory.layout.version("shop", 1) / NAME
    path.write_bytes(bytes(8 << 20))
    clock = Stalling()
    with Opened(directory) as opened:
        scrub = Scrub(opened.history, directory.layout, Integrity(directory.layout), clock, 1)
        assert asyncio.run(scrub.sweep()) == ["shop@1"]
    assert clock.slept == pytest.approx(7, abs=0.1)


def test_what_versions_share_is_read_once(directory: Directory) -> None:
    with Opened(directory) as opened, structlog.testing.capture_logs() as lines:
        (first, second) = (c.version for c in opened.history.committed())
        folder = directory.layout.version("shop", 2)
        (folder / NAME).unlink()
        (folder / NAME).hardlink_to(directory.layout.version("shop", 1) / NAME)
        shared = msgspec.structs.replace(second, files=first.files)
        opened.history.note_native(opened.pipelines.get("shop").id, opened.history.run(second.run_id), shared)
        scrub = Scrub(opened.history, directory.layout, Integrity(directory.layout), SystemClock(), 1000)
        assert asyncio.run(scrub.sweep()) == []
        flip_unseen(folder / NAME)
        assert asyncio.run(scrub.sweep()) == ["shop@1", "shop@2"]
    assert [line["bytes"] for line in lines if line["event"] == "scrub.ended"] == [first.bytes] * 2


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))
def test_the_next_night_is_within_a_day(now: datetime) -> None:
    found = next_night(now)
    assert timedelta(0) < found - now <= timedelta(days=1)
    assert (found.hour, found.minute, found.second, found.microsecond) == (HOUR, 0, 0, 0)
