"""``python -m tests.acceptance.machine.settable serve …``: the service under a clock that passes when a test says so.

The file ``SETTABLE_CLOCK`` holds how many seconds it is ahead of the machine's clock.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_LOOK_SECONDS = 0.02


class SettableClock:
    """The machine's clock, ahead by the seconds in a file; those have passed on every clock."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead())

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead()

    async def sleep_until(self, moment: datetime) -> None:
        while self.now() < moment:  # noqa: ASYNC110 - nothing tells of a change of the file
            await asyncio.sleep(_LOOK_SECONDS)

    def _ahead(self) -> float:
        return float(self._file.read_text())


if __name__ == "__main__":
    from service import bootstrap
    from service.cli.commands import penstock

    clock = SettableClock(Path(os.environ["SETTABLE_CLOCK"]))
    setattr(bootstrap, "serve", functools.partial(bootstrap.serve, clock=clock))  # noqa: B010 - mypy knows a function
    penstock(prog_name="penstock")
