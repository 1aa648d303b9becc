"""What decoding needs of struct types is built before several threads decode.

msgspec builds it at the first decoding of a type, and other threads find it half built: one that decodes the type at
that moment follows a null pointer, which ends the process. What was built once is kept as long as the type.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from service.kit import lazy

_WORD = re.compile(r"\w+")
_ready: set[type] = set()
_lock = threading.Lock()


def prepare() -> None:
    """Build it for every struct type that was loaded since the last call, 0.2 ms a type.

    To be called before threads decode: at the start of a process, and again when more types were loaded.
    """
    with _lock:
        for kind in _loaded(msgspec.Struct):
            if kind not in _ready:
                with contextlib.suppress(TypeError, NameError):  # decoding it is an error later
                    if not _holds_data(kind):
                        msgspec.json.Decoder(kind)
                _ready.add(kind)


def ready(kind: type) -> bool:
    """Whether threads may decode a type."""
    return kind in _ready


def _holds_data(kind: type[Any]) -> bool:
    """Whether fields are of a library that is loaded at its first use: nobody decodes them, and it stays unloaded."""
    for base in kind.__mro__:
        names = vars(sys.modules.get(base.__module__, object))
        words = {word for text in vars(base).get("__annotations__", {}).values() for word in _WORD.findall(str(text))}
        if any(lazy.is_lazy(names.get(word)) for word in words):
            return True
    return False


def _loaded(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _loaded(below)
