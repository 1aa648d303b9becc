"""Source size: how many bytes the sources of a pipeline have when they are unpacked, measured before they are read.

Of Parquet the footers have it; of compressed text the beginning is unpacked, and the rest taken to be like it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.lib as pa

from service.collectors.source_file import paths, utf8
from service.collectors.source_file.file_collector import FileCollector
from service.steps.collector import Collector
from service.steps.context import CollectContext

_LOOKED = 1 << 20


def of(collector: Collector, ctx: CollectContext) -> int | None:
    """The bytes of a collector's rows as they are written; None if nobody knows that before they are read."""
    found = files(collector, ctx)
    if found is not None:
        return sum(map(_unpacked, found))
    size = collector.outlook(ctx).get("bytes") if collector.local else None
    return None if size is None else int(size)


def files(collector: Collector, ctx: CollectContext) -> list[Path] | None:
    """The files that a collector reads; None if it reads something else."""
    if isinstance(collector, FileCollector):
        return paths.resolve(collector.file_path, ctx)
    return None if ctx.stored is None else list(ctx.stored.parts)


def _unpacked(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_LOOKED)
    if head.startswith(b"PAR1"):
        return _of_parquet(path) or size
    packed = utf8.compression(head)
    return size if packed is None else size * _length(head, packed) // len(head)


def _length(head: bytes, compression: str) -> int:
    """How many bytes a beginning has when it is unpacked; at least its own."""
    length = 0
    try:
        with pa.input_stream(pa.py_buffer(head), compression=compression) as stream:
            while chunk := stream.read(_LOOKED):
                length += len(chunk)
    except (OSError, pa.ArrowException):  # it ends in the middle
        pass
    return max(length, len(head))


def _of_parquet(path: Path) -> int:
    from pyarrow import parquet

    read: Any = parquet.read_metadata  # pyarrow ships no types
    try:
        found = read(path)
        return sum(found.row_group(n).total_byte_size for n in range(found.num_row_groups))
    except (OSError, pa.ArrowException):
        return 0
