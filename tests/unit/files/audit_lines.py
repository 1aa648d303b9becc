"""Files of the audit log for tests: chains of numbered events."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from service.files import audit_file
from service.files.audit_file import Head

DAY = date(2026, 1, 1)


def written(folder: Path, *lengths: int, day: date = DAY, closed: bool = True) -> list[Head]:
    """The heads of chains of such lengths, which are in the file of a day; the last one is open unless ``closed``."""
    folder.mkdir(exist_ok=True)
    heads, text = [], b""
    for place, length in enumerate(lengths):
        head = Head(chain=f"chn_{place}", day=day, begin=len(text), end=len(text))
        for number in range(length):
            head, line = audit_file.line(head, b'{"time":"%sT00:00:00Z","action":"x","actor":"ann","number":%d}'
                                         % (day.isoformat().encode(), number))  # fmt: skip
            text += line
        heads.append(msgspec.structs.replace(head, closed=closed or place < len(lengths) - 1))
    audit_file.path(folder, day).write_bytes(text)
    return heads
