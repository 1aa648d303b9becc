"""Malformed rows of one collection: counted, the first ones shown in a warning, and all stored if they are quarantined.

They pass through a file, so a source with more malformed rows than valid ones needs no more memory. The metadata of
the quarantine file holds what a replay needs (``Shape``): the columns of each file and their types.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from service.collectors.csv_file.strict_reader import CsvRecord
from service.files import quarantine
from service.kit import lazy
from service.steps.context import CollectContext

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

SHOWN_ROWS = 20
_SHOWN_TEXT = 500
_SHAPE = "penstock.shape"


class Shape(msgspec.Struct, frozen=True):
    """How to read rows of these files: the columns of each file, in order, and the types of all (``dtypes`` names)."""

    columns: dict[str, list[str]]
    types: dict[str, str]
    from_path: dict[str, dict[str, str | None]] = {}
    """The values, as text, of columns that come from the path of a file, by file."""


class Rejects:
    """Collects the malformed rows of a collection. With ``keep`` all of them are written beside the version."""

    def __init__(self, ctx: CollectContext, *, keep: bool) -> None:
        self._ctx, self._keep = ctx, keep
        self._label = ""
        self._first: list[dict[str, Any]] = []
        self._count = self._total = 0
        self._path = ctx.folder / "rejects.ndjson"

    def begin(self, label: str) -> None:
        """Start the file ``label``: the next records are from it."""
        self._label, self._first, self._count = label, [], 0

    def add(self, records: Sequence[CsvRecord], part: str = "") -> None:
        """Add malformed records, of one ``part`` of the source if lines are counted in each."""
        rows = []
        for record in records:
            text = record.text.strip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            if len(self._first) < SHOWN_ROWS:
                where = {"part": part} if part else {}
                self._first.append(where | {"line": record.line, "reason": record.fault, "text": text[:_SHOWN_TEXT]})
            reason = {"rule": quarantine.MALFORMED, "column": None, "value": None, "message": record.fault}
            rows.append({"_rules": [reason], "_file": part or self._label, "_line": record.line, "_text": text})
        self._count += len(rows)
        if self._keep and rows:
            with self._path.open("ab") as out:
                out.write(msgspec.json.Encoder().encode_lines(rows))

    def end(self) -> None:
        """Warn of the rows that were left out of the current file."""
        if not self._count:
            return
        self._total += self._count
        first = self._first[0]
        place = f"{first['part']}, line {first['line']}" if "part" in first else f"line {first['line']}"
        where = f"are kept in {quarantine.file_of(self._ctx.step)}" if self._keep else "were left out"
        self._ctx.warn(
            "malformed_rows",
            f"{self._label}: {self._count} malformed rows {where}; {place}: {first['reason']}",
            file=self._label, count=self._count, first=self._first,
        )  # fmt: skip

    def close(self, shape: Shape) -> None:
        """Report the rows that were left out of all files, and write them to quarantine if wanted."""
        if not self._total:
            return
        file = quarantine.file_of(self._ctx.step) if self._keep else None
        if file is not None:
            schema = {name: quarantine.layout()[name] for name in ("_rules", "_file", "_line", "_text")}
            rows = pl.scan_ndjson(self._path, schema=schema)
            write_quarantine(rows, (self._ctx.beside or self._ctx.folder) / file, shape, self._ctx)
        self._ctx.reject(self._total, file)


class Padded:
    """Counts the rows of a file in which missing fields became null."""

    def __init__(self, ctx: CollectContext, label: str) -> None:
        self._ctx, self._label = ctx, label
        self._count = 0
        self._first: list[dict[str, Any]] = []

    def append(self, record: CsvRecord, part: str = "") -> None:
        """Count a row that was padded, in a ``part`` of the source if lines are counted in each."""
        self._count += 1
        if len(self._first) < SHOWN_ROWS:
            where = {"part": part} if part else {}
            self._first.append(where | {"line": record.line, "missing": record.padded})

    def warn(self) -> None:
        """Warn of the padded rows, if there are any."""
        if self._count:
            line, missing = self._first[0]["line"], self._first[0]["missing"]
            place = f"{self._first[0]['part']}, line {line}" if "part" in self._first[0] else f"line {line}"
            self._ctx.warn(
                "padded_rows",
                f"{self._label}: {self._count} rows have fewer fields than the header; the missing ones are null; "
                f"{place} lacks {missing}", file=self._label, count=self._count, first=self._first,
            )  # fmt: skip


def write_quarantine(rows: pl.LazyFrame, target: Path, shape: Shape, ctx: CollectContext) -> None:
    """Malformed rows (``_rules``, ``_file``, ``_line``, ``_text``) as a quarantine file of the step."""
    values = {name: pl.col(name) for name in ("_rules", "_file", "_line", "_text")}
    values |= {"_step": pl.lit(ctx.step), "_source": pl.lit(ctx.source)}
    arranged = quarantine.arrange(rows, [], values)
    metadata = {_SHAPE: msgspec.json.encode(shape).decode()}
    arranged.sink_parquet(target, compression="zstd", engine="streaming", metadata=metadata)


def shape_of(path: Path) -> Shape:
    """How to read the rows of a quarantine file."""
    return msgspec.json.decode(pl.read_parquet_metadata(path)[_SHAPE], type=Shape)
