"""The compact protocol of Thrift, in which Parquet writes its footers, as plain values that are written back alike.

A struct is a dict of field number to (type, value); lists keep the type of their elements, and may hold structs as
bytes when they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST = range(1, 10)
STRUCT = 12  # sets and maps do not occur
Struct = dict[int, tuple[int, Any]]


@dataclass
class Items:
    """A list and the type of its elements."""

    kind: int
    values: list[Any]


def decode(data: bytes) -> Struct:
    """The struct that ``data`` begins with. Raises ``ValueError`` for types that no footer has, and without its end."""
    try:
        return _Reader(data).struct()
    except IndexError:
        raise ValueError("a footer ends in the middle") from None


def encode(value: Struct) -> bytes:
    """The struct as bytes."""
    out = bytearray()
    _write_struct(value, out)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> Struct:
        found: Struct = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else _signed(self._varint())
            found[number] = (kind, self._value(kind))
        return found

    def _value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind in (I16, I32, I64):
            return _signed(self._varint())
        if kind == BYTE:
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(8)
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == LIST:
            return self._list()
        if kind == STRUCT:
            return self.struct()
        raise ValueError(f"type {kind} in a footer")

    def _list(self) -> Items:
        head = self._byte()
        size, kind = head >> 4, head & 15
        size = self._varint() if size == 15 else size
        # the elements of a list of booleans are bytes
        return Items(kind, [self._byte() if kind in (TRUE, FALSE) else self._value(kind) for _ in range(size)])

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise IndexError(self._at)
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _write_struct(value: Struct, out: bytearray) -> None:
    before = 0
    for number, (kind, item) in value.items():
        kind = (TRUE if item else FALSE) if kind in (TRUE, FALSE) else kind
        delta = number - before
        if 0 < delta < 16:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _write_varint(_zigzag(number), out)
        before = number
        if kind not in (TRUE, FALSE):
            _write(kind, item, out)
    out.append(0)


def _write(kind: int, item: Any, out: bytearray) -> None:
    if kind in (I16, I32, I64):
        _write_varint(_zigzag(item), out)
    elif kind in (BYTE, TRUE, FALSE):
        out.append(item)
    elif kind == DOUBLE:
        out += item
    elif kind == BINARY:
        _write_varint(len(item), out)
        out += item
    elif kind == LIST:
        size = len(item.values)
        out.append(min(size, 15) << 4 | item.kind)
        if size >= 15:
            _write_varint(size, out)
        for one in item.values:
            _write(item.kind, one, out)
    elif isinstance(item, bytes):
        out += item
    else:
        _write_struct(item, out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _write_varint(value: int, out: bytearray) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
