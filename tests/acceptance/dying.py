"""``python -m tests.acceptance.dying FILE serve …``: the service, killed without warning at a point of a commit.

``FILE`` says which point, as soon as it is there: until then the service does what it always does.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.catalog.history import History
from service.catalog.version_marks import VersionMarks
from service.files import layout
from service.runs import manifest, publication, version_upkeep

POINTS = [
    "before the rename",
    "after the rename",
    "before the commit",
    "after the commit",
    "before the native table is noted",
    "after the native table is noted",
]

TAKEOVER_POINTS = ["before the earlier native file moves", "after the earlier native file has moved"]

DECISION_POINTS = [
    "before the acceptance",
    "after the acceptance",
    "after the manifest",
    "before the rejection",
    "after the rejection",
    "after the folder is gone",
]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Order:
    """What the file says at this moment."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def at(self, point: str) -> None:
        """Die where that is the point."""
        if self._file.exists() and self._file.read_text() == point:
            _die()

    def around(self, call: Callable[..., Any], *, before: str = "", after: str = "") -> Callable[..., Any]:
        @functools.wraps(call)
        def called(*args: Any, **named: Any) -> Any:
            self.at(before)
            answer = call(*args, **named)
            self.at(after)
            return answer

        return called


def _dying_flush(order: Order) -> Callable[[Path], None]:
    """``flush`` as publication sees it: it dies before it flushes the pipeline's folder, so after the rename."""

    def flush(path: Path) -> None:
        if path.parent == path.parent.parent / "warehouse":
            order.at(POINTS[1])
        layout.flush(path)

    return flush


def arm_decisions(order: Order) -> None:
    """Put the points of decisions about held versions into the protocol."""
    before, after, written, begun, deleted, gone = DECISION_POINTS
    setattr(History, "accept", order.around(History.accept, before=before, after=after))  # noqa: B010
    setattr(manifest, "follow", order.around(manifest.follow, after=written))  # noqa: B010
    setattr(VersionMarks, "delete_all", order.around(VersionMarks.delete_all, before=begun, after=deleted))  # noqa: B010
    setattr(version_upkeep, "flush", order.around(layout.flush, before=gone))  # noqa: B010


def arm(order: Order) -> None:
    """Put the points into the protocol."""
    made, committed, noted = publication.make_room, History.publish, publication.note_loaded
    forgotten, taken = publication.forget_native, publication.take_native
    setattr(publication, "forget_native", order.around(forgotten, after=TAKEOVER_POINTS[0]))  # noqa: B010
    setattr(publication, "take_native", order.around(taken, after=TAKEOVER_POINTS[1]))  # noqa: B010
    setattr(publication, "make_room", order.around(made, after=POINTS[0]))  # noqa: B010 - mypy knows a function here
    setattr(publication, "flush", _dying_flush(order))  # noqa: B010
    setattr(History, "publish", order.around(committed, before=POINTS[2], after=POINTS[3]))  # noqa: B010
    setattr(publication, "note_loaded", order.around(noted, before=POINTS[4], after=POINTS[5]))  # noqa: B010


if __name__ == "__main__":
    told = Order(Path(os.environ["ORDER_TO_DIE"]))
    arm(told)
    arm_decisions(told)
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
