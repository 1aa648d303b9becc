"""Settings of CSV files: how they are written and read, their validation, and the dialect that they describe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.collectors.csv_file.dialect import Dialect
from service.collectors.records import schema as record_schema
from service.collectors.source_file import utf8
from service.collectors.source_file.file_collector import FileCollector
from service.kit import lazy
from service.kit.errors import Problem
from service.values import type_names

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Character = Annotated[str, msgspec.Meta(min_length=1, max_length=1, pattern=r"^[\x01-\x7f]\Z")]
Column = Annotated[str, msgspec.Meta(min_length=1)]
OnMalformed = Literal["fail", "skip", "quarantine", "pad"]
LOSSY = "utf-8-lossy"


class CsvSettings(FileCollector, frozen=True, kw_only=True):
    """The settings shared by everything that reads CSV files."""

    separator: Annotated[Character, msgspec.Meta(description="Character between fields.")] = ","
    quote_char: Annotated[
        Character | None, msgspec.Meta(description="Character around quoted fields; null: no quotes.")
    ] = '"'
    encoding: Annotated[
        str, msgspec.Meta(description="utf-8, utf-8-lossy (invalid bytes become U+FFFD) or any Python codec.")
    ] = "utf-8"
    has_header: Annotated[bool, msgspec.Meta(description="The first row names the columns.")] = True
    column_names: Annotated[
        Annotated[list[Column], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Names of all columns, instead of those in the header."),
    ] = None
    skip_rows: Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Lines to skip before the header.")] = 0
    comment_prefix: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=5)] | None,
        msgspec.Meta(description="Lines that begin with it are skipped."),
    ] = None
    null_values: Annotated[
        list[str],
        msgspec.Meta(
            description="Texts that mean missing, besides the empty field. An empty field in quotes is missing too, "
            "except in text columns, where it is an empty text."
        ),
    ] = []
    columns: Annotated[
        Annotated[list[Column], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Keep these columns, in this order."),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(description="Types of columns; the others are inferred. A value that does not fit: see on_error."),
    ] = {}
    infer_rows: Annotated[
        int,
        msgspec.Meta(ge=0, description="About how many rows of the file types are inferred from; 0: all text."),
    ] = 10_000
    try_parse_dates: Annotated[bool, msgspec.Meta(description="Also infer ISO dates and times.")] = False
    decimal_comma: Annotated[bool, msgspec.Meta(description="Decimals are written 1,5.")] = False
    on_malformed: Annotated[
        OnMalformed,
        msgspec.Meta(
            description="A row of the wrong shape, or with bytes that are not UTF-8, fails the run (fail), is left "
            "out and counted (skip), or is also stored in quarantine (quarantine); pad: fields that are missing at the "
            "end of a row are null, with a counted warning, and every other malformed row fails the run."
        ),
    ] = "fail"

    trailing_delimiter: Annotated[
        bool, msgspec.Meta(description="Rows end with a separator after their last field, as in 1;2;3; below a;b;c.")
    ] = False

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.separator == self.quote_char:
            yield Problem("quote_char", "is the same as the separator")
        if self.separator in "\r\n":
            yield Problem("separator", "a line end cannot separate fields")
        if self.decimal_comma and self.separator == ",":
            yield Problem("decimal_comma", "needs a separator other than ','")
        if self.encoding != LOSSY and not utf8.is_text_codec(self.encoding):
            yield Problem("encoding", f"unknown encoding '{self.encoding}'; utf-8, utf-8-lossy or a Python codec")
        for setting in ("column_names", "columns"):
            yield from record_schema.repeated(setting, getattr(self, setting) or ())
        for column, text in self.schema.items():
            try:
                if type_names.read(text).kind == "list":
                    raise ValueError(f"text cannot be read as {text}")
            except ValueError as error:
                yield Problem(f"schema.{column}", str(error))

    @property
    def dialect(self) -> Dialect:
        """How the files are written, for the survey and the strict reader."""
        return Dialect(
            separator=self.separator.encode(),
            quote=self.quote_char.encode() if self.quote_char else None,
            comment=self.comment_prefix.encode() if self.comment_prefix else None,
            skip_lines=self.skip_rows,
            has_header=self.has_header,
            pad=self.on_malformed == "pad",
            trailing_delimiter=self.trailing_delimiter,
            lossy=self.encoding == LOSSY,
            columns=len(self.column_names or ()) if self.on_malformed == "pad" and not self.has_header else 0,
        )
