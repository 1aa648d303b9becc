"""Keys that a JSON record repeats. One rule on every path: the last value counts, and the keys are reported.

A parser takes the first value or the last without a word, and decoders do not tell. So the keys of a batch are
counted in its text, where ``":`` follows each of them, and compared with the values of the parsed columns; only if the
counts differ, or nulls hide the difference, are records decoded one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_END = b'":'
_NULLS = (b'":null', b'": null')
_SPACED = re.compile(rb'"[ \t\r]+:')
_KEY = re.compile(rb'\s*[,{]\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_QUOTE = b"\\u0022"


def find(ndjson: bytes, frame: pl.DataFrame | None) -> set[str]:
    """The keys that an object in ``ndjson`` repeats. ``frame`` is what Polars parsed of it, None if it could not."""
    spaced = (b" :" in ndjson or b"\t:" in ndjson or b"\r:" in ndjson) and _SPACED.search(ndjson) is not None
    nulls = sum(map(ndjson.count, _NULLS))
    counted = frame is not None and not spaced and ndjson.count(_END) - nulls == _values(frame.get_columns())
    if counted and not nulls:
        return set()
    lines = ndjson.split(b"\n")
    flat = frame is not None and not any(dtype.is_nested() for dtype in frame.dtypes)
    if counted and frame is not None:  # a value and later a null of one key is all that there may be
        lines = _with_value_and_null(lines, frame) if flat else [n for n in lines if any(null in n for null in _NULLS)]
    decode = _FLAT if flat else _WHOLE
    return {name for line in lines if spaced or _may_repeat(line, decode) for name in _repeated(line)}


def _with_value_and_null(lines: list[bytes], frame: pl.DataFrame) -> list[bytes]:
    """The records with a key that has a value in ``frame`` and a null in the text."""
    text = pl.Series(lines, dtype=pl.Binary)
    if len(text) != frame.height:
        return lines
    suspected = pl.repeat(False, frame.height, eager=True)
    for column in frame.get_columns():
        if column.null_count():
            name = msgspec.json.encode(column.name)
            null = text.bin.contains(name + b":null") | text.bin.contains(name + b": null")
            suspected |= null & column.is_not_null()
    return text.filter(suspected).to_list()


def _values(columns: Iterable[pl.Series]) -> int:
    """How many values other than null there are in the columns and in the objects inside them."""
    count = 0
    for column in columns:
        count += len(column) - column.null_count()
        while isinstance(column.dtype, pl.List):
            column = column.drop_nulls().explode(empty_as_null=False)
        if isinstance(column.dtype, pl.Struct) and column.dtype.fields:
            count += _values(column.struct.unnest().get_columns())
    return count


_FLAT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHOLE = msgspec.json.Decoder()


def _may_repeat(line: bytes, decoder: msgspec.json.Decoder[Any]) -> bool:
    if _QUOTE in line:
        return True
    try:
        record = decoder.decode(line)
        keys = len(record) if decoder is _FLAT else msgspec.json.encode(record).count(_END)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, TypeError):
        return False  # whoever reads the record names the fault
    return keys != line.count(_END)


def _repeated(line: bytes) -> set[str]:
    repeated = set[str]()

    def collect(pairs: list[tuple[str, Any]]) -> None:
        seen = set[str]()
        for name, _ in pairs:
            (repeated if name in seen else seen).add(name)

    try:
        json.loads(line, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return set()
    return repeated


def of_object(text: bytes, values: Mapping[str, msgspec.Raw]) -> set[str]:
    """The keys that one object repeats, by comparing its text with its ``values``, of which the last one of each key is
    left; what is inside the values does not count unless they are repeated."""
    place = 0
    for name, raw in values.items():
        key, value = _KEY.match(text, place), bytes(raw).strip()
        if key is None or msgspec.json.decode(key[1], type=str) != name or not text.startswith(value, key.end()):
            return set(_repeated(text))
        place = key.end() + len(value)
    return set() if text[place:].strip() in (b"}", b"{}") else set(_repeated(text))
