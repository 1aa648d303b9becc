"""Rows by key: a few rows of one source that have the given values in their key columns, in the order of the keys.

One key is one comparison, which an index answers; several are a list for the scan, and a join that puts the rows in
order, or a dict, which costs half, where Python can tell which row has which key. A key is compared as the value that
it is: whole numbers are cast to the column's type, since an index has that; all others are compared by DuckDB's rules
for two types, which round nothing.
"""

# ruff: noqa: S608 - names are quoted, values are parameters

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from service.kit import errors
from service.model import query_parameters
from service.model.formats import FORMATS
from service.query.child import data_select, encode, type_forms
from service.query.child.judged import Columns
from service.query.messages import LookupQuery
from service.sandbox.confinement import Relation
from service.sandbox.quoting import quoted

_PLACE = "penstock place"
_PART_ROWS = 256
_INTEGER = DuckDBPyType("INTEGER")
_BOUNDS = {
    **{
        name: (-(2**bits), 2**bits - 1)
        for name, bits in {"tinyint": 7, "smallint": 15, "integer": 31, "bigint": 63}.items()
    },
    **{
        name: (0, 2**bits - 1) for name, bits in {"utinyint": 8, "usmallint": 16, "uinteger": 32, "ubigint": 64}.items()
    },
}
"""The least and the greatest value of each type of whole numbers that a literal may take."""


class Lookup:
    """One query for rows by key, on ``cursor``. ``again`` lets the session go on after an error."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, relation: Relation, known: Columns, query: LookupQuery,
        again: Callable[[], None],
    ) -> None:  # fmt: skip
        self._cursor = cursor
        self._relation = relation
        self._query = query
        self._again = again
        names, types = known
        self._types = dict(zip(names, types, strict=True))
        self._chosen = data_select.chosen(query.columns, names)

    def chunks(self) -> list[bytes]:
        """The whole answer; one empty piece if no row has the only key. Raises ``duckdb.Error``, ``errors.Invalid``."""
        query = self._query
        if query.format == "json":
            return self._document()
        if query.only and not self._cursor.execute(*self._count()).fetchall()[0][0]:
            return [b""]
        rows = encode.Rows.of(self._cursor, *self._select())
        if FORMATS[query.format].binary:
            stored = {n: t for n, t in self._relation.logical.items() if n in self._chosen}
            rows = dataclasses.replace(rows, stored_types=data_select.stored_types(stored))
        found: list[bytes] = []
        for chunk in encode.stream(rows, query.format, escape_formulas=query.escape_formulas):
            found.append(bytes(chunk))
            if sum(map(len, found)) > query.max_bytes:
                raise _too_large(query.max_bytes)
        return found

    def _document(self) -> list[bytes]:
        query, types = self._query, [self._types[name] for name in self._chosen]
        numbered = len(query.values) > 1
        places: list[int] = []
        texts: Iterable[tuple[int, bytes]]
        by_value = self._by_value(encode.Head.of(self._chosen, types)) if numbered else None
        if by_value is not None:
            texts, places = by_value
        else:
            sql, parameters = self._select(numbered=numbered)
            names = [_PLACE, *self._chosen] if numbered else self._chosen
            rows = encode.Rows(self._cursor, sql, names, [_INTEGER, *types] if numbered else types, parameters)
            few = encode.few(self._cursor, sql, parameters) if encode.is_plain(types) else None
            if few is None:
                self._again()
            texts = few.lines if few is not None else encode.lines(rows)
            if numbered:
                texts = [(count, _without_places(text, places)) for count, text in texts]
        records = encode.JsonRecords.of(texts, None, query.max_bytes)
        if records.truncated:
            raise _too_large(query.max_bytes)
        if query.only and not records.count:
            return [b""]
        places = places if numbered else [0] * records.count
        before = {
            "pipeline": query.source.pipeline, "version": query.source.version, "key": query.key,
            "columns": encode.Rows(self._cursor, "", self._chosen, types).columns,
        }  # fmt: skip
        missing = sorted(set(range(len(query.values))) - set(places))
        return encode.document(before, records, {"row_count": records.count, "rows": places, "missing": missing})

    def _by_value(self, head: encode.Head | None) -> tuple[list[tuple[int, bytes]], list[int]] | None:
        """NDJSON of the rows of several keys of one column, in the order of the keys, and the index of each row's key.

        None if a join must find which row has which key: values that DuckDB compares by rules of its own, many rows.
        """
        if head is None or len(self._query.key) > 1:
            return None
        wanted: dict[Any, list[int]] = {}
        for place, (value,) in enumerate(self._values()):
            wanted.setdefault(value, []).append(place)
        among = self._among(wanted)
        if among is None:
            return None
        columns = ", ".join(data_select.column(name, self._relation, as_stored=False) for name in self._chosen)
        condition, parameters = among
        select = f"SELECT {quoted(self._query.key[0])}, {columns} FROM {self._source} WHERE {condition}"
        found: list[tuple[int, tuple[Any, ...]]] = []
        try:
            self._cursor.execute(select, parameters)
            while part := self._cursor.fetchmany(_PART_ROWS):
                found += [(place, row[1:]) for row in part for place in wanted[row[0]]]
                if not encode.are_few(len(found), len(self._chosen)):
                    raise OverflowError
            found.sort(key=lambda row: row[0])
            text = encode.plain_lines(head, [row for _, row in found])
        except (duckdb.OutOfMemoryException, MemoryError, OverflowError):
            self._again()
            return None
        return [(len(found), text)], [place for place, _ in found]

    def _among(self, wanted: Iterable[Any]) -> tuple[str, list[Any]] | None:
        """The condition that the only key column has one of the values, which are equal in DuckDB if in Python."""
        (column,), (kind,), type_ = self._query.key, self._query.kinds, type_forms.kind(self._types[self._query.key[0]])
        if kind == "string" and type_ == "varchar":
            texts = list(wanted)
            return f"{quoted(column)} IN ({', '.join('?' * len(texts))})", texts
        if kind == "integer" and type_ in _BOUNDS:
            least, greatest = _BOUNDS[type_]
            numbers = [str(value) for value in wanted if least <= value <= greatest]
            return (f"{quoted(column)} IN ({', '.join(numbers)})" if numbers else "false"), []  # of the column's type
        return None

    def _values(self) -> list[list[Any]]:
        query = self._query
        kinds = dict(zip(query.key, query.kinds, strict=True))
        texts = (dict(zip(query.key, key, strict=True)) for key in query.values)
        return [list(query_parameters.converted(key, kinds).values()) for key in texts]

    def _count(self) -> tuple[str, list[Any]]:
        return f"SELECT count(*) FROM {self._source} WHERE {self._matches()}", self._values()[0]

    def _select(self, *, numbered: bool = False) -> tuple[str, list[Any]]:
        """The SELECT of all rows, in the order of the keys, and its parameters.

        With ``numbered`` the first column is the index of the key of each row.
        """
        binary = FORMATS[self._query.format].binary
        columns = ", ".join(data_select.column(name, self._relation, as_stored=binary) for name in self._chosen)
        values = self._values()
        if len(values) == 1:
            return f"SELECT {columns} FROM {self._source} WHERE {self._matches()}", values[0]
        slots, names = list(map(self._slot, self._query.key)), [f"k{n}" for n in range(len(self._query.key))]
        among = " AND ".join(
            f"{quoted(column)} IN ({', '.join([slot] * len(values))})"
            for column, slot in zip(self._query.key, slots, strict=True)
        )
        wanted = ", ".join(f"({place}, {', '.join(slots)})" for place in range(len(values)))
        same = " AND ".join(f"wanted.{n} = stored.{quoted(c)}" for n, c in zip(names, self._query.key, strict=True))
        place = quoted(_PLACE)
        joined = (
            f"SELECT {place}, {columns} FROM (SELECT * FROM {self._source} WHERE {among}) AS stored "
            f"JOIN (VALUES {wanted}) AS wanted({place}, {', '.join(names)}) ON {same}"
        )
        shown = ", ".join(map(quoted, [_PLACE, *self._chosen] if numbered else self._chosen))
        parameters = [key[n] for n in range(len(names)) for key in values] + [v for key in values for v in key]
        return f"SELECT {shown} FROM ({joined}) AS found ORDER BY {place}", parameters

    @property
    def _source(self) -> str:
        return self._relation.with_stored or self._relation.sql

    def _matches(self) -> str:
        return " AND ".join(f"{quoted(column)} = {self._slot(column)}" for column in self._query.key)

    def _slot(self, column: str) -> str:
        kind = self._query.kinds[self._query.key.index(column)]
        return f"TRY_CAST(? AS {self._types[column]})" if kind == "integer" else "?"


def _without_places(text: bytes, places: list[int]) -> bytes:
    """The lines without their first member, the place, which is added to ``places``."""
    lines = []
    for line in text.splitlines():
        first, _, rest = line.partition(b",")
        places.append(int(first.rpartition(b":")[2]))
        lines.append(b"{" + rest + b"\n")
    return b"".join(lines)


def _too_large(max_bytes: int) -> errors.Invalid:
    return errors.Invalid(
        f"the rows have more than {max_bytes >> 20} MiB; ask for fewer keys or columns", code="QUERY_TOO_LARGE"
    )
