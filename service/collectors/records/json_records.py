"""Records in a JSON document: finding them without parsing them, and turning them into columns.

``Document`` reads a document through ``msgspec.Raw``, so records stay bytes: they are counted and spooled without
becoming Python objects. ``table`` parses a batch of records into columns with Polars; only if values of a column differ
in kind (an object here, a number there) does it decode record by record (``mixed_types``).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from service.collectors.records import duplicate_keys, mixed_types, number_texts
from service.collectors.records.flattened import Flattened
from service.collectors.records.unusable import Unusable
from service.kit import lazy
from service.kit.excerpts import excerpt

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

WELL_KNOWN = ("data", "items", "results", "records", "rows")
WHOLE = "$"
"""The path of the document itself."""
MAX_DEPTH = 32
"""Records nested deeper are refused: types nested thousands deep crash the engine."""
TRAILING = "trailing characters"
NOT_UTF8 = "is not UTF-8"
HALF = "half of a surrogate pair"
INVALID = "is not valid JSON"
_HALF_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_HUGE = re.compile(rb"[:\[,\s](-?\d[\d.]*(?:[eE]\+?\d{3,})|-?\d{300,}[\d.]*)")
_BRACE = ord("{")
_SPACE = b" \t\r\n"
_INDEX = re.compile(r"-?\d{1,9}")
_NOT_RECORDS = frozenset({"error", "errors", "warning", "warnings"})
"""Names of arrays that report on an answer; they are records only if ``records_path`` names them."""


def _first(raw: msgspec.Raw) -> bytes:
    """The first byte that is not white space; it tells the kind of the value."""
    view = memoryview(raw)
    return bytes(view[:64]).lstrip(_SPACE)[:1] or bytes(view).lstrip(_SPACE)[:1]


def _kind(raw: msgspec.Raw) -> str:
    return {b"{": "an object", b"[": "an array", b'"': "text", b"t": "true", b"f": "false", b"n": "null"}.get(
        _first(raw), "a number"
    )


class Document:
    """One JSON document. Raises ``Unusable`` if it is not JSON."""

    def __init__(self, body: bytes) -> None:
        encoding = json.detect_encoding(body[:4]) if body else "utf-8"
        if encoding == "utf-8-sig":
            body = body[3:]
        elif encoding != "utf-8":
            body = body.decode(encoding, "replace").encode()
        if not body.strip(_SPACE):
            raise Unusable("the document is empty, not JSON")
        self._top = msgspec.Raw(body)
        self._whole: Any = self._decode(self._top, Any if _first(self._top) not in (b"{", b"[") else None)

    def _decode(self, raw: msgspec.Raw, kind: Any) -> Any:
        if kind is None:
            kind = dict[str, msgspec.Raw] if _first(raw) == b"{" else list[msgspec.Raw]
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            whole = bytes(raw)
            raise Unusable(
                f"the document is not valid JSON ({cause(error, whole)}); it begins with {excerpt(whole, 60)!r}"
            ) from None

    @property
    def is_object(self) -> bool:
        """Whether the document is one object."""
        return _first(self._top) == b"{"

    @property
    def keys(self) -> list[str]:
        """The names at the top level; none if the document is not an object."""
        return list(self._whole) if self.is_object else []

    @property
    def value(self) -> Any:
        """The whole document as Python objects."""
        return self._decode(self._top, Any)

    def at(self, path: str) -> msgspec.Raw | None:
        """The value at ``a.b.-1.c``, or None if a name or index on the way is missing. A name may hold dots itself."""
        here, rest = self._top, path
        while rest:
            if _first(here) == b"[":
                index, _, rest = rest.partition(".")
                items = self._whole if here is self._top else self._decode(here, None)
                if not _INDEX.fullmatch(index) or not -len(items) <= int(index) < len(items):
                    return None
                here = items[int(index)]
                continue
            if _first(here) != b"{":
                return None
            names: Any = self._whole if here is self._top else self._decode(here, None)
            if rest in names:
                return names[rest]  # type: ignore[no-any-return]
            ends = [i for i, c in enumerate(rest) if c == "." and rest[:i] in names]
            if not ends:
                return None
            here, rest = names[rest[: ends[-1]]], rest[ends[-1] + 1 :]
        return here

    def repeated_keys(self, path: str | None) -> set[str]:
        """The keys that the objects around the records at ``path`` repeat; the last value of each counts."""
        found, here, rest = set[str](), self._top, path or ""
        while rest and path != WHOLE and _first(here) == b"{":
            values: dict[str, msgspec.Raw] = self._whole if here is self._top else self._decode(here, None)
            found |= duplicate_keys.of_object(bytes(here), values)
            ends = [i for i, c in enumerate(rest + ".") if c == "." and rest[:i] in values]
            if not ends:
                break
            here, rest = values[rest[: ends[-1]]], rest[ends[-1] + 1 :]
        return found

    def names(self, path: str) -> list[str] | None:
        """The names beside the missing last name of ``path``; [] if ``path`` exists, None if its parent does not."""
        above = self.at(path.rpartition(".")[0]) if "." in path else self._top
        if self.at(path) is not None:
            return []
        return list(self._decode(above, None)) if above is not None and _first(above) == b"{" else None

    def at_json(self, path: str) -> Any:
        """The value at ``path`` as Python objects; None if it is null or missing."""
        raw = self.at(path)
        return None if raw is None else self._decode(raw, Any)

    def number(self, path: str) -> int | None:
        """The whole number at ``path`` (also as text), or None."""
        raw = self.at(path)
        if raw is None:
            return None
        try:
            return int(msgspec.json.decode(raw, type=int, strict=False))
        except msgspec.DecodeError:
            return None

    def text(self, path: str) -> str | None:
        """The text or number at ``path`` as text; None if it is missing or empty."""
        raw = self.at(path)
        if raw is None:
            return None
        try:
            value = msgspec.json.decode(raw, type=str | int | float | bool | None)
        except msgspec.DecodeError:
            raise Unusable(f"at '{path}' is {_kind(raw)}, not text") from None
        return str(value) if value and value is not True else None

    def path(self) -> str | None:
        """The path of the array of records, detected: None for the document itself, else a name at its top level.

        Raises ``Unusable`` if there is no such array, or there are several and none has a well-known name.
        """
        if _first(self._top) == b"[":
            return None
        if _first(self._top) != b"{":
            raise Unusable(f"the document is {_kind(self._top)}, neither an array nor an object")
        top = self._whole
        found = self.arrays()
        full = [name for name in found if self._decode(top[name], list[msgspec.Raw])]
        found = full or found
        known = [name for name in WELL_KNOWN if name in found]
        if len(found) == 1 or known:
            return known[0] if known else found[0]
        present = ", ".join(f"{name} ({_kind(raw)})" for name, raw in list(top.items())[:12]) or "nothing"
        what = f"several arrays ({', '.join(found)})" if found else "no array of objects"
        raise Unusable(f"there is {what} at the top level; set records_path; the document holds {present}")

    def arrays(self) -> list[str]:
        """The names at the top level of an object that hold arrays of objects."""
        top: dict[str, msgspec.Raw] = self._whole
        arrays = (name for name, raw in top.items() if _first(raw) == b"[" and self._holds_objects(raw))
        return [name for name in arrays if name.lower() not in _NOT_RECORDS]

    def _holds_objects(self, raw: msgspec.Raw) -> bool:
        items = self._decode(raw, list[msgspec.Raw])
        return not items or _first(items[0]) == b"{"

    def records(self, path: str | None) -> list[bytes]:
        """The records at ``path``, each an object; null means no records, one object is one record.

        Raises ``Unusable`` for anything else.
        """
        raw = self._top if path in (None, WHOLE) else self.at(str(path))
        if raw is None:
            raise Unusable(f"there is nothing at '{path}'; check records_path")
        kind = _first(raw)
        if kind == b"n":
            return []
        if kind == b"{":
            return [bytes(raw)]
        if kind != b"[":
            raise Unusable(f"at '{path}' is {_kind(raw)}, not an array of objects; check records_path")
        items: list[msgspec.Raw] = self._whole if raw is self._top else self._decode(raw, list[msgspec.Raw])
        found = [bytes(item) for item in items]
        for number, item in enumerate(found):
            if item[0] != _BRACE and _first(items[number]) != b"{":
                raise Unusable(f"record {number} is {_kind(items[number])}, not an object")
        return found


def lines(records: Sequence[bytes]) -> bytes:
    """The records as one object a line."""
    joined = b"\n".join(records)
    if joined.count(b"\n") == len(records) - 1 and b"\r" not in joined:
        return joined
    return b"\n".join(msgspec.json.format(r, indent=-1) if b"\n" in r or b"\r" in r else r for r in records)


def _out_of_range(text: bytes) -> str:
    number = _HUGE.search(text)
    return f"the number {number[1][:40].decode() if number else ''} is out of range".replace("  ", " ")


def _has_half_pair(text: bytes) -> bool:
    return (b"\\ud" in text or b"\\uD" in text) and _HALF_PAIR.search(text) is not None


def cause(error: Exception, text: bytes) -> str:
    """Why ``text`` is not JSON, in words that name the cause."""
    if isinstance(error, UnicodeDecodeError):
        return f"the byte 0x{error.object[error.start]:02X} {NOT_UTF8}"
    half = _HALF_PAIR.search(text)
    if half is not None:
        return f"{half[0].decode()} is {HALF} and not a character"
    if "out of range" in str(error):
        return _out_of_range(text)
    if TRAILING in str(error) and text.lstrip(_SPACE).startswith(b"{"):
        return f"{error}; it may have one object a line"
    return str(error)


def table(
    ndjson: bytes,
    *,
    flatten: bool,
    mixed: dict[str, str] | None = None,
    repeated: set[str] | None = None,
    texts: Mapping[str, pl.DataType] | None = None,
) -> tuple[pl.DataFrame, Flattened]:
    """The records of ``ndjson`` as columns, and what flattening made of them.

    With ``flatten`` nested objects become ``a_b`` columns; lists stay lists. The names of columns whose values disagree
    are added to ``mixed`` with how they do, the keys that a record repeats to ``repeated``; their last value counts.
    The columns ``texts`` become text, or lists of texts, as their types say: numbers as they are written, lists and
    objects as JSON. Raises ``Unusable``.
    """
    texts = texts or {}
    frame: pl.DataFrame | None = None
    try:
        frame = pl.read_ndjson(io.BytesIO(ndjson), infer_schema_length=None)
        if max((_depth(d) for d in frame.dtypes), default=0) > MAX_DEPTH:
            raise Unusable(f"the records are nested more than {MAX_DEPTH} deep")
        again = duplicate_keys.find(ndjson, frame)
        if again or _has_half_pair(ndjson):  # the parser takes the first value, and no text for half a pair
            raise mixed_types.MixedTypes
        mixed_types.check(ndjson, frame)
        flat, flattened = _flatten(frame, texts) if flatten else (frame, Flattened())
        if texts and number_texts.would_change(flat, texts, ndjson):
            raise mixed_types.MixedTypes
    except (pl.exceptions.PolarsError, RecursionError, mixed_types.MixedTypes):
        if repeated is not None:
            repeated |= duplicate_keys.find(ndjson, frame)
        return _by_record(ndjson, flatten, mixed if mixed is not None else {}, texts)
    return flat.with_columns(pl.col(n).cast(pl.String) for n in texts if n in flat.schema), flattened


def _depth(dtype: Any) -> int:
    depth, level = 0, [dtype]
    while level and depth <= MAX_DEPTH + 1:
        depth += 1
        level = [i for d in level for i in _inner(d)]
    return depth


def _inner(dtype: Any) -> list[Any]:
    if isinstance(dtype, pl.Struct):
        return [f.dtype for f in dtype.fields]
    return [dtype.inner] if isinstance(dtype, pl.List) else []


def _flatten(frame: pl.DataFrame, texts: Collection[str]) -> tuple[pl.DataFrame, Flattened]:
    made = Flattened()
    while nested := [n for n, d in frame.schema.items() if isinstance(d, pl.Struct) and n not in texts]:
        made.parents.update(nested)
        for name in nested:
            path = made.paths.pop(name, (name,))
            made.paths |= {f"{name}_{f.name}": (*path, f.name) for f in frame.schema[name].fields}  # type: ignore[attr-defined]
        frame = frame.unnest(
            nested, separator="_"
        )  # fails for two columns of one name; ``_by_record`` knows their keys
    return frame, made


def _by_record(
    ndjson: bytes, flatten: bool, mixed: dict[str, str], texts: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, Flattened]:
    """The slow path, for columns whose values disagree or must stay as they are written."""
    flattened = Flattened()
    records = ndjson.split(b"\n")
    values = _columns(map(_decode, records), flatten, flattened, texts)
    made = {name: mixed_types.series(name, column) for name, column in values.items()}
    mixed.update((name, how) for name, (_, how) in made.items() if how)
    columns = {name: column for name, (column, _) in made.items()}
    exact: dict[str, pl.DataType] = {
        name: texts.get(name, column.dtype)
        for name, (column, how) in made.items()
        if name in texts or (how and number_texts.is_text(column.dtype))
    }
    huge = next(
        (n for n, column in values.items() if n not in exact and any(map(number_texts.is_infinite, column))), ""
    )
    if huge:
        raise Unusable(f"{_out_of_range(ndjson)}; give '{huge}' the type string under schema to keep it as text")
    if exact:
        try:
            written = _columns(map(number_texts.decode, records), flatten, flattened, texts)
        except RecursionError:
            raise Unusable(f"the records are nested more than {MAX_DEPTH} deep") from None
        for name, dtype in exact.items():
            columns[name] = pl.Series(name, [number_texts.as_text(v, dtype) for v in written[name]], dtype=dtype)
    frame = pl.DataFrame(columns)
    if max((_depth(d) for d in frame.dtypes), default=0) > MAX_DEPTH:
        raise Unusable(f"the records are nested more than {MAX_DEPTH} deep")
    return frame, flattened


def _decode(record: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(record)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        try:
            return number_texts.tolerant.decode(record)  # type: ignore[no-any-return]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Unusable(f"a record is not valid JSON ({cause(error, record)})") from None


def _columns(
    records: Iterable[dict[str, Any]], flatten: bool, flattened: Flattened, texts: Collection[str]
) -> dict[str, list[Any]]:
    """The values of each column, in the order of the records."""
    columns: dict[str, list[Any]] = {}
    count = 0
    for record in records:
        for name, path, value in _leaves(record, flattened, texts) if flatten else _plain(record):
            values = columns.setdefault(name, [])
            if flattened.paths.setdefault(name, path) != path:
                flattened.check(name, path)
            values.extend([None] * (count - len(values)))
            values.append(value)
        count += 1
    for values in columns.values():
        values.extend([None] * (count - len(values)))
    return columns


Leaf = tuple[str, tuple[str, ...], Any]


def _plain(record: dict[str, Any]) -> Iterable[Leaf]:
    return ((name, (name,), value) for name, value in record.items())


def _leaves(
    record: dict[str, Any], flattened: Flattened, texts: Collection[str], prefix: str = "", path: tuple[str, ...] = ()
) -> Iterable[Leaf]:
    """The column, the keys and the value of each field."""
    for name, value in record.items():
        keys = (*path, name)
        if isinstance(value, dict) and prefix + name not in texts:
            flattened.parents.add(prefix + name)
            yield from _leaves(value, flattened, texts, f"{prefix}{name}_", keys)
        else:
            yield prefix + name, keys, value
