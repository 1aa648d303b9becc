"""What a process does before its other imports, and when they are done.

structlog and httpx load rich and pygments if these are installed, for coloured tracebacks and for a command of their
own. Nothing here uses either, and they take 50 ms in each process. A garbage collection amid imports finds nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import sys

_UNUSED = ("rich", "pygments")
_OBJECTS = 50_000  # new objects between two collections meanwhile; the interpreter's own number is 700
_DEFAULT = gc.get_threshold()


def begin(*libraries: str) -> None:
    """Collect garbage rarely from now on, and import ``libraries`` without what they can do without."""
    gc.set_threshold(_OBJECTS, *_DEFAULT[1:])
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails
    try:
        for name in libraries:
            importlib.import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]


def end() -> None:
    """Collect garbage as usual from now on, but nothing of what was loaded: a look at all of it takes 60 ms, finds
    nothing, and in a child writes to every page that it shares."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # what stays frozen is not freed at the end, and libraries report it as leaked
    gc.set_threshold(*_DEFAULT)
