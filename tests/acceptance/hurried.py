"""``python -m tests.acceptance.hurried serve …``: the service under a clock that runs faster, and that may die.

``HURRIED_FACTOR`` says how many seconds pass in one. The clock begins with the present time at the first start and goes
on with the file ``HURRIED_CLOCK`` at later ones, so that a service which is down misses times. Where the file ``DIE``
names a point and a pipeline (``before the fire of orders``), the process is killed there.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service import bootstrap
from service.catalog.history import History
from service.model.run import Run

POINTS = ["before the fire", "after the fire"]


class HurriedClock:
    """Begins at ``began`` of the real clock, and passes ``factor`` seconds in each real one."""

    def __init__(self, began: float, factor: float) -> None:
        self._began, self._factor = began, factor

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._began, UTC) + timedelta(seconds=(time.time() - self._began) * self._factor)

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    async def sleep_until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds() / self._factor))


def clock() -> HurriedClock:
    """The clock that all services of a test share."""
    kept = Path(os.environ["HURRIED_CLOCK"])
    if not kept.exists():
        kept.write_text(str(time.time()))
    return HurriedClock(float(kept.read_text()), float(os.environ["HURRIED_FACTOR"]))


def arm(order: Path) -> None:
    """Kill the process before or after the commit of a run, where the file says so."""
    stored = History.add_run

    def die(point: str, run: Run) -> None:
        if order.exists() and order.read_text() == f"{point} of {run.pipeline}":
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(stored)
    def add_run(history: History, pipeline_id: str, run: Run, *more: Any) -> None:
        die(POINTS[0], run)
        stored(history, pipeline_id, run, *more)
        die(POINTS[1], run)

    setattr(History, "add_run", add_run)  # noqa: B010 - mypy knows a function here


if __name__ == "__main__":
    arm(Path(os.environ["DIE"]))
    setattr(bootstrap, "serve", functools.partial(bootstrap.serve, clock=clock()))  # noqa: B010
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
