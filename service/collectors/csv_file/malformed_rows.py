"""Malformed rows of one collection: counted, the first of them shown in a warning, all kept where that was asked for.

They pass through a file, so that a source with more bad rows than good ones costs no memory. What is kept says how
to make rows of them later: the columns of each file and the types that were found for them (``Shape``), in the
metadata of the Parquet file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.collectors.csv_file.strict_reader import CsvRecord
from service.files import quarantine
from service.steps.context import CollectContext

SHOWN_ROWS = 20
_SHOWN_TEXT = 500
_SHAPE = "penstock.shape"


class Shape(msgspec.Struct, frozen=True):
    """What rows of these files look like: the columns of each, in order, and the types of all (``dtypes`` names)."""

    columns: dict[str, list[str]]
    types: dict[str, str]


class Rejects:
    """What the files of a collection held and no row was made of. ``keep`` writes all of it beside the version."""

    def __init__(self, ctx: CollectContext, *, keep: bool) -> None:
        self._ctx, self._keep = ctx, keep
        self._label = ""
        self._first: list[dict[str, Any]] = []
        self._count = self._total = 0
        self._path = ctx.folder / "rejects.ndjson"

    def begin(self, label: str) -> None:
        """What comes now is from the file ``label``."""
        self._label, self._first, self._count = label, [], 0

    def add(self, records: list[CsvRecord]) -> None:
        """Take malformed records."""
        rows = []
        for record in records:
            text = record.text.strip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            if len(self._first) < SHOWN_ROWS:
                self._first.append({"line": record.line, "reason": record.fault, "text": text[:_SHOWN_TEXT]})
            reason = {"rule": quarantine.MALFORMED, "column": None, "value": None, "message": record.fault}
            rows.append({"_rules": [reason], "_file": self._label, "_line": record.line, "_text": text})
        self._count += len(rows)
        if self._keep and rows:
            with self._path.open("ab") as out:
                out.write(msgspec.json.Encoder().encode_lines(rows))

    def end(self) -> None:
        """Say what was left out of the file."""
        if not self._count:
            return
        self._total += self._count
        first = self._first[0]
        where = f"are kept in {quarantine.file_of(self._ctx.step)}" if self._keep else "were left out"
        self._ctx.warn(
            "malformed_rows",
            f"{self._label}: {self._count} malformed rows {where}; line {first['line']}: {first['reason']}",
            file=self._label, count=self._count, first=self._first,
        )  # fmt: skip

    def close(self, shape: Shape) -> None:
        """Count what was left out of all files, and keep it."""
        if not self._total:
            return
        file = quarantine.file_of(self._ctx.step) if self._keep else None
        if file is not None:
            schema = {name: quarantine.LAYOUT[name] for name in ("_rules", "_file", "_line", "_text")}
            rows = pl.scan_ndjson(self._path, schema=schema)
            write(rows, (self._ctx.beside or self._ctx.folder) / file, shape, self._ctx)
        self._ctx.reject(self._total, file)


def write(rows: pl.LazyFrame, target: Path, shape: Shape, ctx: CollectContext) -> None:
    """Malformed rows (``_rules``, ``_file``, ``_line``, ``_text``) as a quarantine file of the step."""
    made = {name: pl.col(name) for name in ("_rules", "_file", "_line", "_text")}
    made |= {"_step": pl.lit(ctx.step), "_source": pl.lit(ctx.source)}
    kept = quarantine.arranged(rows, [], made)
    metadata = {_SHAPE: msgspec.json.encode(shape).decode()}
    kept.sink_parquet(target, compression="zstd", engine="streaming", metadata=metadata)


def shape_of(path: Path) -> Shape:
    """How rows can be made of what a quarantine file keeps."""
    return msgspec.json.decode(pl.read_parquet_metadata(path)[_SHAPE], type=Shape)
