"""``python -m tests.acceptance.dying POINT serve …``: the service, killed without warning at a point of a commit."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from service.catalog.history import History
from service.runs import publication
from service.steps import layout


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _then_die(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def called(*args: Any, **named: Any) -> Any:
        call(*args, **named)
        return _die()

    return called


class _Layout:
    """The layout module as publication sees it, whose ``flush`` after the rename is the last thing that happens."""

    def __getattr__(self, name: str) -> Any:
        return getattr(layout, name)

    def flush(self, path: Any) -> None:
        if path.parent == path.parent.parent / "warehouse":  # the pipeline's folder: the version lies in it
            _die()
        layout.flush(path)


POINTS: dict[str, Callable[[], None]] = {
    "before the rename": lambda: setattr(publication, "_make_room", _then_die(publication._make_room)),
    "after the rename": lambda: setattr(publication, "layout", _Layout()),
    "before the commit": lambda: setattr(History, "publish", _die),
    "after the commit": lambda: setattr(History, "publish", _then_die(History.publish)),
    "before the native table is noted": lambda: setattr(publication, "note_loaded", _die),
    "after the native table is noted": lambda: setattr(publication, "note_loaded", _then_die(publication.note_loaded)),
}

if __name__ == "__main__":
    POINTS[sys.argv.pop(1)]()
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
