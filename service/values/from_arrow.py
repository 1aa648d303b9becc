"""An Arrow IPC stream of records as a table with a given schema; every value that does not fit is reported.

A column has the type of the schema, or one whose values the schema's type holds without loss: numbers of other widths,
other units of time, categories for text. The stream is checked as a whole first, since its bytes are a client's:
offsets that lead out of it would read memory that is not the caller's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, cast

import polars as pl
import pyarrow.ipc as ipc
from pyarrow import lib

from service.kit import errors
from service.kit.errors import Problem
from service.values import dtypes
from service.values.from_json import MOST_PROBLEMS, with_article

_open: Any = ipc.open_stream  # pyarrow ships no types
_BODY = "body"
_UNKNOWN = re.compile(r"decimal256|union|interval")
"""Types that Polars does not have; with one of them it panics."""


def table(content: bytes, schema: Mapping[str, pl.DataType], most: int) -> pl.DataFrame:
    """The records of a stream, at most ``most``. Raises ``errors.Invalid`` that lists what does not fit."""
    found = _read(content, most)
    problems = [
        Problem(f"records.{name}", f"is missing; give {with_article(dtype)}, or nulls if it is unknown")
        for name, dtype in schema.items()
        if name not in found.schema
    ]
    problems += [
        Problem(f"records.{name}", f"the data has no such column{errors.did_you_mean(name, schema)}")
        for name in itertools.islice((name for name in found.schema if name not in schema), MOST_PROBLEMS)
    ]
    columns: list[pl.Series] = []
    if not problems:
        for name, dtype in schema.items():
            columns.append(_column(found[name], dtype, problems))
    if problems:
        raise errors.Invalid.of(problems[:MOST_PROBLEMS], "records")
    return pl.DataFrame(columns)


def _read(content: bytes, most: int) -> pl.DataFrame:
    batches, rows = [], 0
    try:
        reader = _open(content)
        for field in reader.schema:
            if _UNKNOWN.search(str(field.type)):
                raise errors.Invalid(
                    f"records.{field.name}: columns of type {field.type} are not taken", field=f"records.{field.name}"
                )
        for batch in reader:
            rows += batch.num_rows
            if rows > most:
                raise errors.Invalid(f"records: more than {most} at once; send them in parts", field="records")
            batch.validate(full=True)
            batches.append(batch)
        found = lib.Table.from_batches(batches, reader.schema)
        names = found.schema.names
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise errors.Invalid(f"two columns are named '{twice}'", field=f"records.{twice}")
        return cast(pl.DataFrame, pl.from_arrow(found))
    except (lib.ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
        text = str(error).partition("\n")[0][:200]
        raise errors.Invalid(f"the body is not an Arrow IPC stream: {text}", field=_BODY) from None


def _column(values: pl.Series, dtype: pl.DataType, problems: list[Problem]) -> pl.Series:
    if values.dtype == dtype:
        return values
    name = values.name
    if not _is_alike(values.dtype, dtype):
        wanted, given = with_article(dtype), dtypes.name_of(values.dtype)
        problems.append(Problem(f"records.{name}", f"expected {wanted}, got {given}"))
        return values
    try:
        made = values.cast(dtype, strict=False)
    except pl.exceptions.PolarsError as error:
        text = str(error).partition("\n")[0][:200]
        problems.append(Problem(f"records.{name}", f"cannot be read as {with_article(dtype)}: {text}"))
        return values
    if dtype.is_float() and values.dtype.is_float():
        return made  # rounded, as a number of JSON is
    lost = ~made.cast(values.dtype, strict=False).eq_missing(values)
    if lost.any():
        place = int(lost.arg_true()[0])
        text = f"{values.slice(place, 1).to_list()[0]!r} does not fit {with_article(dtype)}"
        problems.append(Problem(f"records[{place}].{name}", text if len(text) <= 200 else f"{text[:197]}..."))
    return made


def _is_alike(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a column of one type may be given for the other, where no value is lost."""
    if isinstance(given, pl.Null):
        return True
    texts = (pl.String, pl.Categorical, pl.Enum)
    if isinstance(given, texts) and isinstance(wanted, texts):
        return True
    if given.is_numeric() and wanted.is_numeric():
        return True
    if isinstance(given, pl.Datetime) and isinstance(wanted, pl.Datetime):
        return (given.time_zone is None) == (wanted.time_zone is None)
    if isinstance(given, pl.List | pl.Array) and isinstance(wanted, pl.List | pl.Array):
        return _is_alike(_made(given.inner), _made(wanted.inner))
    if isinstance(given, pl.Struct) and isinstance(wanted, pl.Struct):
        fields = {f.name: _made(f.dtype) for f in given.fields}
        there = {f.name: _made(f.dtype) for f in wanted.fields}
        return fields.keys() == there.keys() and all(_is_alike(fields[n], t) for n, t in there.items())
    return given.base_type() == wanted.base_type()


def _made(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
