"""Replay of quarantined malformed CSV rows: each is parsed again, as text and then as typed columns.

A row alone does not tell its columns, so the columns and types are those that were found when it was quarantined
(``malformed_rows.Shape``). A row with a field that does not fit its type stays in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from service.collectors.csv_file import malformed_rows, strict_reader, type_inference
from service.collectors.csv_file.dialect import Dialect
from service.collectors.csv_file.malformed_rows import Shape
from service.files import quarantine
from service.kit import lazy
from service.steps.context import CollectContext
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_BATCH = 20_000
_COLUMNS = ("_rules", "_file", "_line", "_text")


class RowSettings(Protocol):
    """The settings that decide how a row is read."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def schema(self) -> dict[str, str]: ...

    @property
    def columns(self) -> list[str] | None: ...

    @property
    def column_names(self) -> list[str] | None: ...

    @property
    def null_values(self) -> list[str]: ...

    @property
    def decimal_comma(self) -> bool: ...


def read(kept: Path, settings: RowSettings, ctx: CollectContext) -> pl.LazyFrame:
    """The rows of a quarantine file that ``settings`` can read; the others are rejected again."""
    shape = malformed_rows.shape_of(kept)
    types = {name: dtypes.parse(text) for name, text in {**shape.types, **settings.schema}.items()}
    columns = list(types) if settings.columns is None else [c for c in settings.columns if c in types]
    again, good = ctx.folder / "rejected-again.ndjson", []
    refused = 0
    with again.open("wb") as out:
        for number, batch in enumerate(_batches(kept)):
            rows, bad = _split(batch, shape, types, settings)
            refused += len(bad)
            out.write(msgspec.json.Encoder().encode_lines(bad))
            part = ctx.folder / f"read-again-{number:05d}.parquet"
            rows.select(columns).write_parquet(part, compression="lz4")
            good.append(part)
    if refused:
        file = quarantine.file_of(ctx.step)
        schema = {name: quarantine.layout()[name] for name in _COLUMNS}
        malformed_rows.write_quarantine(
            pl.scan_ndjson(again, schema=schema), (ctx.beside or ctx.folder) / file, shape, ctx
        )
        ctx.reject(refused, file)
    return pl.scan_parquet(good, glob=False)


def _batches(kept: Path) -> Iterator[pl.DataFrame]:
    lf, at = pl.scan_parquet(kept, glob=False).select(_COLUMNS), 0
    while (batch := lf.slice(at, _BATCH).collect()).height or not at:
        yield batch
        at += _BATCH


def _split(
    batch: pl.DataFrame, shape: Shape, types: dict[str, pl.DataType], settings: RowSettings
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The typed rows of a batch that can be read, and the quarantine records of the others."""
    missing = {"", *settings.null_values}
    rows, origins, bad = [], [], []
    for origin in batch.iter_rows(named=True):
        found = _fields(origin, shape, settings)
        if isinstance(found, str):
            bad.append(_refused(origin, None, None, found))
        else:
            rows.append({name: None if value in missing else value for name, value in found.items()})
            origins.append(origin)
    texts = pl.DataFrame(rows, schema=dict.fromkeys(types, pl.String()))
    typed = texts.select(_read_as(n, t, decimal_comma=settings.decimal_comma) for n, t in types.items())
    fits = pl.Series([True] * texts.height, dtype=pl.Boolean)
    for name, dtype in types.items():
        lost = typed[name].is_null() & texts[name].is_not_null()
        if name not in settings.schema:  # inferred types are as strict here as in a scan
            comma = "," if settings.decimal_comma else "."
            lost |= texts.select(
                type_inference.says_more(pl.col(name), dtype, comma).fill_null(value=False)
            ).to_series()
        lost &= fits
        for place in lost.arg_true():
            message = f"is not {dtypes.name_of(dtype)}"
            bad.append(_refused(origins[place], name, texts[name][place], message))
        fits &= ~lost
    return typed.filter(fits), bad


def _fields(origin: dict[str, Any], shape: Shape, settings: RowSettings) -> Mapping[str, str | None] | str:
    text, dialect = str(origin["_text"]), settings.dialect
    if not dialect.lossy and any(strict_reader.NOT_UTF8 in str(rule["message"]) for rule in origin["_rules"]):
        return f"a byte {strict_reader.NOT_UTF8} and was not stored; read the file again with its encoding"
    names = settings.column_names or shape.columns.get(str(origin["_file"]))
    if names is None:
        return "its file had no valid rows, so its columns are unknown"
    found = strict_reader.fields(text, dialect)
    if isinstance(found, str):
        return found
    if dialect.pad and len(found) < len(names):
        found += [""] * (len(names) - len(found))
    if len(found) != len(names):
        return f"{len(found)} field{'s' if len(found) != 1 else ''} where {len(names)} are expected"
    return {**shape.from_path.get(str(origin["_file"]), {}), **dict(zip(names, found, strict=True))}


def _read_as(name: str, dtype: pl.DataType, *, decimal_comma: bool) -> pl.Expr:
    return parse.tolerantly(pl.col(name), dtype, decimal_comma=decimal_comma).cast(dtype).alias(name)


def _refused(origin: dict[str, Any], column: str | None, value: str | None, message: str) -> dict[str, Any]:
    reason = {"rule": quarantine.MALFORMED, "column": column, "value": value, "message": message}
    return {**origin, "_rules": [reason]}
