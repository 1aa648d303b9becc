"""``python -m tests.acceptance.moved_clock serve …``: the service under a clock that the file ``MOVED_CLOCK`` moves.

The file has the seconds between this clock and the machine's.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service import bootstrap


class MovedClock:
    """The machine's clock, moved by the number in ``file``."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text()))

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep_until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds()))


def move(file: Path, seconds: int) -> None:
    """Put the clock forward or back; a reader sees the old or the new time."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


if __name__ == "__main__":
    clock = MovedClock(Path(os.environ["MOVED_CLOCK"]))
    setattr(bootstrap, "serve", functools.partial(bootstrap.serve, clock=clock))  # noqa: B010
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
