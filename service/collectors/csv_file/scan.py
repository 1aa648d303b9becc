"""The reader of one collection of CSV files: from the survey of each file to one lazy scan of all.

A file that the survey finds suspicious is read by the strict reader, which also writes a copy without malformed rows
if they are to be left out. Types come from rows sampled all over the files; the scan reads text, and a cast that would
lose something is an error.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from service.collectors.csv_file import byte_ranges, strict_reader, suspicions, type_inference, wide_batches
from service.collectors.csv_file.checked_columns import CheckedColumn
from service.collectors.csv_file.malformed_rows import Padded, Rejects, Shape
from service.collectors.csv_file.settings import LOSSY, CsvSettings
from service.collectors.csv_file.survey import MAX_COLUMNS, MAX_HEADER, Survey, Unreadable, line_at, survey
from service.collectors.records import schema as record_schema
from service.collectors.records.column_names import unique
from service.collectors.records.misfits import Misfits
from service.collectors.source_file import utf8
from service.collectors.source_file.file_collector import PathColumns
from service.kit import errors, lazy
from service.steps.context import CollectContext
from service.values import dtypes, parse
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_BATCH = 1_000  # malformed rows written at once


@dataclass
class CsvFile:
    """One valid file: its path, its columns as Polars names them (``raw``) and as we do, and its row count."""

    original: Path
    path: Path
    survey: Survey
    skip_lines: int
    raw: list[str]
    names: list[str]
    rows: int
    sample: pl.DataFrame

    @property
    def label(self) -> str:
        return self.original.name

    def forget_sample(self) -> None:
        """Let go of the sample, which takes hundreds of megabytes of thousands of columns; its columns stay."""
        self.sample = self.sample.clear()
        self.survey.blocks.clear()


class CsvReader:
    """Reads the files of one collection."""

    def __init__(
        self, settings: CsvSettings, ctx: CollectContext, sample_rows: int, added: PathColumns | None = None
    ) -> None:
        self._settings, self._ctx, self._sample_rows = settings, ctx, sample_rows
        self._added = added or PathColumns({}, {})
        self._dialect = settings.dialect
        self._rejects = Rejects(ctx, keep=settings.on_malformed == "quarantine")

    def error(self, path: Path, text: str, field: str = "file_path") -> errors.Permanent:
        return errors.Permanent(f"{path.name}: {text}", step=self._ctx.step, field=field)

    def source(self, original: Path, number: int) -> CsvFile | None:
        """Survey one file; None if it is empty. Raises ``errors.Permanent`` if something would be lost."""
        lossy = self._settings.encoding == LOSSY
        codec = "utf-8" if lossy else codecs.lookup(self._settings.encoding).name
        try:
            path = utf8.as_utf8(original, codec, self._ctx.folder, f"plain-{number:05d}.csv")
            found = survey(path, self._dialect, self._sample_rows)
        except (utf8.Unreadable, Unreadable) as error:
            raise self.error(original, str(error)) from None
        if found.zero_at is not None:
            line = line_at(path, found.zero_at, found.eol)
            raise self.error(original, suspicions.zero_byte(line, found.zero_at), "encoding")
        if found.empty(self._dialect):
            return None
        wide = found.header(self._dialect)
        if wide > MAX_COLUMNS:
            text = f"{wide} columns, and at most {MAX_COLUMNS} are read; is the separator right?"
            raise self.error(original, f"line {self._dialect.skip_lines + 1}: {text}", "separator")
        skip = self._dialect.skip_lines
        if self._dialect.has_header and len(found.sample) > MAX_HEADER and found.eol not in found.sample[:MAX_HEADER]:
            text = f"the header has more than {MAX_HEADER >> 20} MiB; is there one, and are the line ends right?"
            raise self.error(original, f"line {self._dialect.skip_lines + 1}: {text}", "has_header")
        if self._needs_strict_reading(path, found):
            path, found, skip = self._mend(original, path, found, number)
        try:
            sample = self._scan(found.sample, found, None).collect()
        except pl.exceptions.NoDataError:  # nothing but comments, say
            return None
        except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
            raise self.error(original, _first_paragraph(error)) from None
        raw = sample.columns
        names = self._column_names(original, raw, found)
        declared = suspicions.separator_line(raw[0]) if self._dialect.has_header else None
        if declared is not None:
            raise self.error(original, declared, "skip_rows")
        self._added.refuse_clash(original, names, self._ctx.step)
        sample = sample.rename(dict(zip(raw, names, strict=True)))
        if len(names) == 1 and not self._settings.column_names:
            wrong = suspicions.one_column(found.sample, self._settings.separator)
            if wrong is not None:
                raise self.error(original, wrong, "separator")
        return CsvFile(original, path, found, skip, raw, names, found.rows(len(names), self._dialect), sample)

    def _needs_strict_reading(self, path: Path, found: Survey) -> bool:
        """Whether the shape of the file is suspicious, so that the strict reader must decide."""
        if (
            self._dialect.trailing_delimiter
            or found.torn
            or found.misquoted
            or found.stray_cr
            or found.misleading(self._dialect)
        ):
            return True
        try:
            columns = self._scan(found.sample, found, None).collect().columns
        except (pl.exceptions.PolarsError, UnicodeDecodeError):
            return True
        if self._dialect.columns not in (0, len(columns)):
            return True
        return found.uneven(len(columns), self._dialect) or self._parser_rejects(path, found, columns)

    def _parser_rejects(self, path: Path, found: Survey, raw: list[str]) -> bool:
        """Whether rows must be left out although the counts are right, which only parsing shows."""
        if self._settings.on_malformed == "fail":
            return False
        lf = self._scan(path, found, dict.fromkeys(raw, pl.String()), skip_lines=self._dialect.skip_lines)
        try:
            lf.null_count().collect(engine="streaming")
        except pl.exceptions.PolarsError:
            return True
        return False

    def _mend(self, original: Path, path: Path, found: Survey, number: int) -> tuple[Path, Survey, int]:
        """A copy without empty lines and malformed rows (unless those fail the run); the file itself if it is valid.

        Returns the path, its survey, and how many lines of it to skip.

        Raises ``errors.Permanent`` for the first malformed row under ``on_malformed: fail``.
        """
        self._rejects.begin(self._label(original))
        batch: list[strict_reader.CsvRecord] = []
        padded = Padded(self._ctx, original.name)

        def drop(record: strict_reader.CsvRecord) -> None:
            if self._settings.on_malformed in ("fail", "pad") or record.header:
                raise self._malformed(original, f"line {record.line}: {record.fault}", self._hint(record, found))
            batch.append(record)
            if len(batch) == _BATCH:
                self._rejects.add(batch)
                batch.clear()

        copy = self._ctx.folder / f"mended-{number:05d}.csv"
        try:
            changed = strict_reader.mend(path, self._dialect, found.eol, copy, drop, padded.append)
        except strict_reader.Unmendable as error:
            raise self.error(original, str(error)) from None
        self._rejects.add(batch)
        self._rejects.end()
        padded.warn()
        if not changed:
            return path, found, self._dialect.skip_lines
        return copy, survey(copy, replace(self._dialect, skip_lines=0, comment=None), self._sample_rows), 0

    def on_error(self, error: pl.exceptions.PolarsError, sources: list[CsvFile]) -> errors.Permanent | None:
        """The malformed row, by file and line, that made the parser fail; None if the shape of the files is valid."""
        if any(f"in {s.label}: " in str(error) for s in sources):
            return None  # a value that does not fit its column; the error names it
        for source in sources:
            wrong = strict_reader.first_fault(source.path, self._dialect, source.survey.eol)
            if wrong is not None:
                return self._malformed(source.original, wrong)
        return None

    def _hint(self, record: strict_reader.CsvRecord, found: Survey) -> str:
        """The setting with which a row of too few or too many fields may be read."""
        hint = strict_reader.setting_for(record, self._settings.separator)
        if " where " not in str(record.fault):
            return hint
        separator = suspicions.other_separator(found.sample, self._settings.separator)
        return f"; if {separator!r} separates the fields, set separator" if separator else hint

    def _malformed(self, original: Path, wrong: str, hint: str = "") -> errors.Permanent:
        if "quote" in wrong and not hint:
            hint = "; if quotes are plain text, set quote_char to null"
        return self.error(original, f"{wrong}{hint}", "encoding" if strict_reader.NOT_UTF8 in wrong else "file_path")

    def _scan(self, source: Any, found: Survey, columns: dict[str, pl.DataType] | None, **more: Any) -> pl.LazyFrame:
        return pl.scan_csv(source, schema=columns, **self._options(found), **more)

    def _options(self, found: Survey) -> dict[str, Any]:
        settings = self._settings
        return {
            "has_header": settings.has_header,
            "separator": settings.separator,
            "quote_char": settings.quote_char,
            "comment_prefix": settings.comment_prefix,
            "null_values": settings.null_values or None,
            "infer_schema": False,
            "encoding": "utf8-lossy" if settings.encoding == LOSSY else "utf8",
            "eol_char": found.eol.decode(),
            "decimal_comma": settings.decimal_comma,
            "glob": False,
        }

    def _column_names(self, original: Path, raw: list[str], found: Survey) -> list[str]:
        wanted = self._settings.column_names
        if wanted is not None:
            if len(wanted) != len(raw):
                raise self.error(original, f"has {len(raw)} columns, column_names {len(wanted)}", "column_names")
            return wanted
        if not self._settings.has_header:
            return raw
        changed = ("_duplicated_", *([self._settings.quote_char] if self._settings.quote_char else []))
        first = self._header(found) if any(mark in name for name in raw for mark in changed) else raw
        names, renamed = unique(first)
        for name, others in renamed.items():
            renaming = (
                f"one is now '{others[0]}'" if len(others) == 1 else f"{len(others)} are now '{others[0]}' and so on"
            )
            self._ctx.warn(
                "duplicate_column", f"{original.name} has several columns '{name}'; {renaming}",
                file=original.name, column=name, count=len(others),
            )  # fmt: skip
        return names

    def _header(self, found: Survey) -> list[str]:
        settings = msgspec.structs.replace(self._settings, has_header=False, null_values=[])
        row = CsvReader(settings, self._ctx, 0)._scan(found.sample, found, None, n_rows=1).collect().row(0)
        return [str(cell or "") for cell in row]

    def finish(self, sources: list[CsvFile], types: dict[str, pl.DataType]) -> None:
        """Write the malformed rows to quarantine, with what a replay needs to read them."""
        names = {name: dtypes.name_of(dtype) for name, dtype in (self._added.types | types).items()}
        from_path = {self._label(s.original): self._added.texts.get(s.original, {}) for s in sources}
        self._rejects.close(Shape({self._label(s.original): s.names for s in sources}, names, from_path))

    def _label(self, original: Path) -> str:
        """The name of a file in quarantine; the whole path below its root if that holds values."""
        return self._ctx.files.shown(original) if self._added.types else original.name

    def scans(self, sources: list[CsvFile], types: dict[str, pl.DataType], misfits: Misfits) -> list[pl.LazyFrame]:
        """A scan of each file, with typed columns by name.

        Columns under ``schema`` whose ``misfits`` become null are text, for ``conversions``.
        """
        types = self._read_as(types, misfits)
        return [self._typed(source, self._text(source), types, counted=misfits.become_null) for source in sources]

    def parts(self, sources: list[CsvFile], types: dict[str, pl.DataType], misfits: Misfits) -> list[pl.LazyFrame]:
        """The rows of ``scans`` in more scans: large files are divided."""
        types = self._read_as(types, misfits)
        return [
            self._typed(source, text, types, counted=misfits.become_null)
            for source in sources
            for text in self._texts(source)
        ]

    def _read_as(self, types: dict[str, pl.DataType], misfits: Misfits) -> dict[str, pl.DataType]:
        """The types in which the scans have their columns."""
        if not misfits.become_null:
            return types
        return types | {name: pl.String() for name in self._settings.schema if name in types}

    def united(self, scans: list[pl.LazyFrame]) -> pl.LazyFrame:
        """All files one after another: columns by name, in order of first appearance."""
        lf = scans[0] if len(scans) == 1 else pl.concat(scans, how="diagonal")
        return lf if self._settings.columns is None else lf.select(self._settings.columns)

    def types(self, sources: list[CsvFile]) -> dict[str, pl.DataType]:
        """The type of every column, from the settings or the sample."""
        settings = self._settings
        sample = pl.concat([s.sample for s in sources], how="diagonal")
        present = [*sample.columns, *self._added.types]
        record_schema.require_columns(present, settings.columns, settings.schema, self._ctx.step)
        types: dict[str, pl.DataType] = dict.fromkeys(sample.columns, pl.String())
        if settings.infer_rows:
            free = [n for n in sample.columns if n not in settings.schema]
            types |= type_inference.infer(
                sample.select(free), dates=settings.try_parse_dates, decimal_comma=settings.decimal_comma
            )
        for source in sources:
            source.forget_sample()
        return types | {name: dtypes.parse(text) for name, text in settings.schema.items() if name in types}

    def conversions(self, types: dict[str, pl.DataType], misfits: Misfits) -> list[Conversion]:
        """The casts of the text columns under ``schema`` whose ``misfits`` become null. An empty text is missing."""
        settings = self._settings
        kept = [n for n in settings.schema if n in types and (settings.columns is None or n in settings.columns)]
        made = []
        for name in kept if misfits.become_null else ():
            value = parse.tolerantly(pl.col(name), types[name], decimal_comma=settings.decimal_comma)
            source = pl.when(pl.col(name) != "").then(pl.col(name))
            if types[name] != pl.String:
                made.append(record_schema.misfit(name, value, source, types[name], misfits))
        return made

    def _text(self, source: CsvFile) -> pl.LazyFrame:
        """The file as text, in columns as the parser names them."""
        read: dict[str, pl.DataType] = dict.fromkeys(source.raw, pl.String())
        limit = source.rows if source.survey.blank_tail and len(source.raw) > 1 else None
        return self._scan(source.path, source.survey, read, skip_lines=source.skip_lines, n_rows=limit)

    def _texts(self, source: CsvFile) -> list[pl.LazyFrame]:
        """The file as texts of its byte ranges, if it is large."""
        ranges = byte_ranges.divided(source.path, source.survey, self._dialect.quote, len(source.raw))
        options = self._options(source.survey) | {"skip_lines": source.skip_lines}
        return byte_ranges.scans(source.path, ranges, source.raw, options) or [self._text(source)]

    def _typed(
        self, source: CsvFile, lf: pl.LazyFrame, types: dict[str, pl.DataType], *, counted: bool
    ) -> pl.LazyFrame:
        """The text ``lf`` of a file with our names and types."""
        settings = self._settings
        kept = [n for n in source.names if settings.columns is None or n in settings.columns]
        columns = []
        for name in kept:
            inferred, why = name not in settings.schema, f"in {source.label}: "
            if inferred:
                why += f"the sample said {dtypes.name_of(types[name])}; give '{name}' a type under schema"
            else:
                why += f"schema.{name} says {settings.schema[name]}"
            if inferred or not counted:
                at, comma = (self._ctx.step, f"schema.{name}"), settings.decimal_comma
                columns.append(CheckedColumn(name, types[name], why, at, decimal_comma=comma, inferred=inferred))
        renamed = {r: n for r, n in zip(source.raw, source.names, strict=True) if r != n}
        lf = lf.rename(renamed) if renamed else lf
        lf = wide_batches.read(lf.select(kept) if settings.columns is not None else lf, kept, columns)
        added = (
            [
                value.cast(types.get(name, self._added.types[name]), strict=False)
                for value in self._added.values(source.original, source.names)
                if (name := value.meta.output_name())
            ]
            if self._added.types
            else []
        )
        return lf.with_columns(added) if added else lf


def _first_paragraph(error: Exception) -> str:
    return str(error).split("\n\n", 1)[0].strip()
