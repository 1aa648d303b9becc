"""Joined Parquet: files of the same columns become one, byte by byte the one that Polars writes of all rows.

Pages are copied as they are. What holds places in the file is written anew: the metadata behind each column and in the
footer, and the index of the pages. Memory holds the metadata alone, as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from service.engine.spark import compact_thrift
from service.engine.spark.compact_thrift import Items, Struct

_MARK = b"PAR1"
_CHUNK = 1 << 20
_ROWS, _GROUPS = 3, 4  # fields of a footer
_COLUMNS, _BEGIN, _ORDINAL = 1, 5, 7  # of a row group
_PLACE, _METADATA, _PAGES, _BOUNDS = 2, 3, 4, 6  # of a column in it; the size of the last two is the field behind
_SIZE, _FIRST_PAGE, _DICTIONARY = 7, 9, 11  # of its metadata
_LOCATIONS, _LOCATION = 1, 1  # of the index of its pages, and of each of these


def join(paths: Sequence[Path], target: Path) -> int:
    """Write the rows of all files, one after another, to ``target``; how many these are. There must be a file."""
    first, rows = _footer(paths[0]), 0
    with target.open("wb") as out:
        out.write(_MARK)
        joined = _Joined(out)
        for path in paths:
            footer = _footer(path)
            rows += footer[_ROWS][1]
            with path.open("rb") as file:
                for group in footer[_GROUPS][1].values:
                    joined.add(group, file)
        _set(first, _ROWS, rows)
        _set(first, _GROUPS, Items(first[_GROUPS][1].kind, joined.close()))
        data = compact_thrift.encode(first)
        out.write(data + len(data).to_bytes(4, "little") + _MARK)
    return rows


class _Joined:
    """The row groups of a file that is being written."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._groups: list[bytes] = []
        self._bounds, self._pages = bytearray(), bytearray()

    def add(self, group: Struct, file: IO[bytes]) -> None:
        """Copy a row group of ``file``."""
        _set(group, _BEGIN, self._out.tell())
        _set(group, _ORDINAL, len(self._groups))
        for column in group[_COLUMNS][1].values:
            metadata = column[_METADATA][1]
            at = min(metadata[field][1] for field in (_FIRST_PAGE, _DICTIONARY) if field in metadata)
            moved = self._out.tell() - at
            file.seek(at)
            for size in (*[_CHUNK] * (metadata[_SIZE][1] // _CHUNK), metadata[_SIZE][1] % _CHUNK):
                self._out.write(_exactly(file, size))
            for struct, field in ((metadata, _FIRST_PAGE), (metadata, _DICTIONARY), (column, _PLACE)):
                _move(struct, field, moved)
            self._out.write(compact_thrift.encode(metadata))
            self._index(column, file, moved)
        self._groups.append(compact_thrift.encode(group))

    def _index(self, column: Struct, file: IO[bytes], moved: int) -> None:
        """Keep the index of a column's pages, with places in what is kept."""
        if _BOUNDS in column:
            data = _read(column, _BOUNDS, file)
            _set(column, _BOUNDS, len(self._bounds))
            self._bounds += data
        if _PAGES in column:
            index = compact_thrift.decode(_read(column, _PAGES, file))
            for location in index[_LOCATIONS][1].values:
                _move(location, _LOCATION, moved)
            data = compact_thrift.encode(index)
            _set(column, _PAGES, len(self._pages))
            _set(column, _PAGES + 1, len(data))
            self._pages += data

    def close(self) -> list[bytes]:
        """Write the index behind the rows; the row groups as the footer has them."""
        bounds = self._out.tell()
        self._out.write(self._bounds)
        pages = self._out.tell()
        self._out.write(self._pages)
        groups = []
        for data in self._groups:
            group = compact_thrift.decode(data)
            for column in group[_COLUMNS][1].values:
                _move(column, _BOUNDS, bounds)
                _move(column, _PAGES, pages)
            groups.append(compact_thrift.encode(group))
        return groups


def _footer(path: Path) -> Struct:
    with path.open("rb") as file:
        file.seek(-8, 2)
        size = int.from_bytes(file.read(4), "little")
        if file.read(4) != _MARK:
            raise ValueError(f"{path.name} does not end like a Parquet file")
        file.seek(-8 - size, 2)
        return compact_thrift.decode(_exactly(file, size))


def _read(column: Struct, field: int, file: IO[bytes]) -> bytes:
    file.seek(column[field][1])
    return _exactly(file, column[field + 1][1])


def _exactly(file: IO[bytes], size: int) -> bytes:
    """The next bytes. Raises ``OSError`` where shared storage does not give all of them."""
    data = file.read(size)
    if len(data) != size:
        raise OSError(f"a file of an executor has {size - len(data)} bytes less here than its footer says")
    return data


def _set(struct: Struct, field: int, value: Any) -> None:
    struct[field] = (struct[field][0], value)


def _move(struct: Struct, field: int, by: int) -> None:
    if field in struct:
        _set(struct, field, struct[field][1] + by)
