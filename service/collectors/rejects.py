"""Malformed rows of one file: counted, the first of them shown in a warning, all of them kept where that was asked for.

They pass through a file, so that a source with more bad rows than good ones costs no memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.collectors.exact import Record
from service.steps.context import Context

SHOWN_ROWS = 20
_SHOWN_TEXT = 500
_SCHEMA = {
    "_file": pl.String(),
    "_line": pl.Int64(),
    "_text": pl.String(),
    "_rules": pl.List(pl.String()),
    "_step": pl.String(),
}


class Rejects:
    """What ``label`` (a file) held and no row was made of. ``keep`` writes all of it beside the version."""

    def __init__(self, ctx: Context, label: str, number: int, *, keep: bool) -> None:
        self._ctx, self._label, self._number = ctx, label, number
        self._first: list[dict[str, Any]] = []
        self._count = 0
        self._path = ctx.folder / f"rejects-{number:05d}.ndjson"
        self._out = self._path.open("wb") if keep else None

    def add(self, record: Record) -> None:
        """Take a malformed record."""
        self._count += 1
        text = record.text.strip("\r\n").encode("utf-8", "replace").decode()
        if len(self._first) < SHOWN_ROWS:
            self._first.append({"line": record.line, "reason": record.fault, "text": text[:_SHOWN_TEXT]})
        if self._out is not None:
            row = {
                "_file": self._label, "_line": record.line, "_text": text,
                "_rules": [f"malformed: {record.fault}"], "_step": self._ctx.step,
            }  # fmt: skip
            self._out.write(msgspec.json.encode(row) + b"\n")

    def close(self) -> None:
        """Say what was left out, and keep it."""
        if self._out is not None:
            self._out.close()
        if not self._count:
            return
        file = self._kept() if self._out is not None else None
        self._ctx.reject(self._count, file)
        first = self._first[0]
        where = f"are kept in {file}" if file else "were left out"
        self._ctx.warn(
            "malformed_rows",
            f"{self._label}: {self._count} malformed rows {where}; line {first['line']}: {first['reason']}",
            file=self._label, count=self._count, first=self._first,
        )  # fmt: skip

    def _kept(self) -> str:
        step = "".join(c if c.isalnum() else "-" for c in self._ctx.step).strip("-")
        name = f"quarantine-{step}-{self._number + 1}.parquet"
        folder: Path = self._ctx.beside or self._ctx.folder
        rows = pl.scan_ndjson(self._path, schema=_SCHEMA)
        rows.sink_parquet(folder / name, compression="zstd", engine="streaming")
        return name
