"""Program: what decides, beside rows and configuration, which bytes a version has; and since when it is the same.

Two versions that one program wrote by one configuration have the same bytes if they have the same rows. A start of the
service finds in the catalog whether the program is the one that wrote the versions before.
"""

from __future__ import annotations

import os
import platform
from datetime import datetime
from importlib import metadata

import msgspec

import service
from service.catalog.store import Store

_PROPERTY = "program"
_LIBRARIES = ("polars", "pyarrow")


class _Known(msgspec.Struct, frozen=True):
    program: list[str]
    since: datetime


def same_since(store: Store, now: datetime) -> datetime:
    """The time since which versions of this catalog are written by this program; ``now`` if it is another one. Blocks.

    The program is this release with its libraries, the machine's kind and how many cores it may use: sums of floats
    depend on these in their last digit.
    """
    program = [service.__version__, *map(metadata.version, _LIBRARIES)]
    program += [platform.machine(), str(len(os.sched_getaffinity(0)))]
    text = store.property(_PROPERTY)
    known = msgspec.json.decode(text, type=_Known) if text is not None else None
    if known is not None and known.program == program:
        return known.since
    store.set_property(_PROPERTY, msgspec.json.encode(_Known(program, now)).decode())
    return now
