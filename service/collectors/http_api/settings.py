"""The settings of the api collector and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import msgspec

from service.collectors.csv_file.dialect import Dialect
from service.collectors.csv_file.settings import Character, Column, OnMalformed
from service.collectors.fetching import headers
from service.collectors.fetching.completeness import Completeness
from service.collectors.http_api import for_each as children
from service.collectors.http_api import pagination
from service.collectors.http_api.authentication import ApiKey, Auth, ClientCredentials
from service.collectors.http_api.csv_body import CsvFormat
from service.collectors.http_api.for_each import ForEach
from service.collectors.http_api.incremental import Incremental, PrimaryKey
from service.collectors.http_api.page_body import LOSSY
from service.collectors.http_api.pagination import Kind, Short
from service.collectors.records import schema as record_schema
from service.collectors.records.misfits import TypedCollector
from service.collectors.source_file import utf8
from service.kit.errors import Problem
from service.network import request
from service.network.retry import Retry

Scalar = str | int | float | bool
_CSV_SETTINGS = (
    "separator", "quote_char", "has_header", "column_names", "skip_rows", "comment_prefix", "null_values",
    "decimal_comma", "on_malformed", "trailing_delimiter",
)  # fmt: skip


class ApiSettings(TypedCollector, frozen=True, kw_only=True):
    """What is requested, how its pages are found and how they are read."""

    endpoint: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=4096,
            description="URL, http or https; with for_each also relative to the parent's.",
        ),
    ]
    method: Annotated[Literal["GET", "POST"], msgspec.Meta(description="HTTP method of every request.")] = "GET"
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to the endpoint's own origin only.")] = {}
    params: Annotated[
        dict[str, Scalar | list[Scalar]], msgspec.Meta(description="Query parameters; a list repeats its name.")
    ] = {}
    body: Annotated[dict[str, Any] | list[Any] | None, msgspec.Meta(description="JSON body of a POST.")] = None
    compress_body: Annotated[bool, msgspec.Meta(description="Send the body with Content-Encoding: gzip.")] = False
    auth: Annotated[
        Auth | None,
        msgspec.Meta(description="bearer, basic, api_key (in a header or the query) or oauth2_client_credentials."),
    ] = None
    records_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Path of the records, e.g. 'data.items'; '$' is the answer itself; by default the array at the "
            "top level is found."
        ),
    ] = None
    pagination: Annotated[
        Kind | Short, msgspec.Meta(description="none, page, offset, cursor, next_url or link_header.")
    ] = "none"
    for_each: Annotated[
        ForEach | None, msgspec.Meta(description="One list of records for each row of another collector.")
    ] = None
    incremental: Annotated[
        Incremental | None,
        msgspec.Meta(
            description="Fetch only what is new since the newest version; a version has the records of all runs."
        ),
    ] = None
    primary_key: PrimaryKey = None
    concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(
            description="Pages fetched concurrently if their URLs are known ahead (page, offset), or parents with "
            "for_each. While it runs, all runs together keep to this number of concurrent requests to the host. By "
            "default 1 (8 for all runs together)."
        ),
    ] = None
    requests_per_second: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=1000)] | None,
        msgspec.Meta(description="Most requests per second to this host, over all runs."),
    ] = None
    response_format: Annotated[
        Literal["json", "ndjson", "csv"],
        msgspec.Meta(description="Format of a page: JSON, one object per line, or CSV."),
    ] = "json"
    encoding: Annotated[
        str | None,
        msgspec.Meta(
            description="Encoding of the answers, whatever they declare: a Python codec, or utf-8-lossy (bad bytes and "
            "lone surrogates become U+FFFD). By default their charset, else utf-8."
        ),
    ] = None
    separator: Annotated[Character | None, msgspec.Meta(description="csv: between fields; a comma by default.")] = None
    quote_char: Annotated[
        Character | None, msgspec.Meta(description="csv: around fields; null: there are no quotes.")
    ] = '"'
    has_header: Annotated[bool, msgspec.Meta(description="csv: the first row of each page names the columns.")] = True
    column_names: Annotated[
        Annotated[list[Column], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="csv: names of all columns, instead of the header's."),
    ] = None
    skip_rows: Annotated[
        int, msgspec.Meta(ge=0, le=10_000, description="csv: lines of each page to skip before the header.")
    ] = 0
    comment_prefix: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=5)] | None,
        msgspec.Meta(description="csv: lines that begin with it are skipped."),
    ] = None
    null_values: Annotated[list[str], msgspec.Meta(description="csv: texts that mean missing.")] = []
    decimal_comma: Annotated[bool, msgspec.Meta(description="csv: decimals are written 1,5.")] = False
    on_malformed: Annotated[
        OnMalformed,
        msgspec.Meta(
            description="csv: a row of the wrong shape, or with bytes that are not UTF-8, fails the run (fail), is "
            "left out and counted (skip), or is also stored in quarantine (quarantine); pad: fields that are missing "
            "at the end of a row are null, with a counted warning."
        ),
    ] = "fail"
    trailing_delimiter: Annotated[
        bool, msgspec.Meta(description="csv: rows end with a separator after their last field.")
    ] = False
    answer_errors: Annotated[
        Literal["fail", "warn"],
        msgspec.Meta(
            description="What to do if an answer with status 200 reports an error ('errors', 'ok': false …), also "
            "beside records: fail the run, or keep the records with a counted warning."
        ),
    ] = "fail"
    completeness: Annotated[
        Completeness,
        msgspec.Meta(
            description="Fewer records than the source declares, or pages that were not read: a warning (warn) or an "
            "error (strict)."
        ),
    ] = "warn"
    timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=3600, description="Limit of one attempt, body included.")
    ] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    flatten: Annotated[bool, msgspec.Meta(description="Nested objects become a_b columns; lists stay lists.")] = True
    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Columns to keep (after flattening), in this order; one that no record has is null."),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Types of columns (after flattening): name to type. A value that does not fit fails and "
            "names its page (see on_error); a single value becomes a list of one if the type is a list."
        ),
    ] = {}

    def spelled_out(self) -> Self:
        return msgspec.structs.replace(self, pagination=pagination.of(self.pagination))

    def problems(self) -> Iterable[Problem]:
        kind = pagination.of(self.pagination)
        if "${" not in self.endpoint and (self.for_each is None or "://" in self.endpoint):
            wrong = request.fault(children.PLACEHOLDER.sub("x", self.endpoint))
            if wrong is not None:
                yield Problem("endpoint", wrong)
        if self.for_each is not None:
            yield from self.for_each.problems(self.endpoint, self.params, self._placeholders)
        if self.incremental is not None:
            given = self.incremental
            yield from given.problems(self.params, self.method, self.endpoint, self.body)
            if given.param in kind.names.get(given.location, ()):
                yield Problem("incremental.param", f"'{given.param}' is also a parameter of the pagination")
        elif self.primary_key is not None:
            yield Problem(
                "primary_key", "identifies records across runs and needs incremental; within a run, use drop_duplicates"
            )
        if self.body is not None and self.method == "GET":
            yield Problem("body", "a GET has no body; set method to POST, or use params")
        if self.compress_body and self.body is None:
            yield Problem("compress_body", "there is no body to compress")
        yield from headers.problems(self.headers)
        if isinstance(self.auth, ApiKey) and self.auth.location == "header":
            yield from (Problem("auth.name", p.message) for p in headers.problems({self.auth.name: ""}))
        if isinstance(self.auth, ClientCredentials):
            yield from self.auth.problems()
        yield from kind.problems(self.method, self.endpoint, self.body)
        if isinstance(kind, pagination.PageNumber | pagination.Cursor) and kind.size_param and not kind.size:
            yield Problem("pagination.size", "is required where size_param is given")
        if self.response_format != "json":
            if self.records_path is not None:
                yield Problem("records_path", f"is for json; in {self.response_format} each line is a record")
            if kind.reads_answer:
                yield Problem("pagination", f"reads a path of the answer, which needs json, not {self.response_format}")
        if (self.concurrency or 1) > 1 and kind.ahead(1, 1) is None and self.for_each is None:
            yield Problem("concurrency", "pages are known ahead only with the paginations page and offset")
        yield from self._format_problems()
        yield from record_schema.problems(self.schema, self.columns)

    @property
    def _placeholders(self) -> list[str]:
        """The placeholders in the endpoint's path that parameters fill."""
        names = list(pagination.of(self.pagination).names.get("path", ()))
        since = self.incremental
        return names if since is None or since.location != "path" else [*names, since.param]

    def _format_problems(self) -> Iterable[Problem]:
        """What is wrong with the settings for the text of the answers."""
        if self.encoding is not None and self.encoding != LOSSY and not utf8.is_text_codec(self.encoding):
            yield Problem("encoding", f"unknown encoding '{self.encoding}'; utf-8, utf-8-lossy or a Python codec")
        if self.response_format != "csv":
            for name in self.text_settings.keys() - {"encoding"}:
                yield Problem(name, f"is for response_format csv, not {self.response_format}")
            return
        separator = self.separator or ","
        if separator == self.quote_char:
            yield Problem("quote_char", "is also the separator")
        if separator in "\r\n":
            yield Problem("separator", "a line end cannot separate fields")
        if self.on_malformed == "quarantine" and (self.for_each is not None or self.incremental is not None):
            yield Problem("on_malformed", "quarantine works without for_each and incremental; use skip")
        if self.decimal_comma and separator == ",":
            yield Problem("decimal_comma", "needs another separator than ','")

    @property
    def text_settings(self) -> dict[str, Any]:
        """The settings for the text of the answers that differ from their defaults."""
        defaults = {field.name: field.default for field in msgspec.structs.fields(self)}
        given = {name: getattr(self, name) for name in ("encoding", *_CSV_SETTINGS)}
        return {name: value for name, value in given.items() if value not in (defaults[name], [])}

    @property
    def csv(self) -> CsvFormat | None:
        """How pages of CSV are written; None for other formats."""
        if self.response_format != "csv":
            return None
        return CsvFormat(
            self.dialect, tuple(self.null_values), tuple(self.column_names or ()), self.decimal_comma, self.schema,
            assumed=self.separator is None, on_malformed=self.on_malformed,
        )  # fmt: skip

    @property
    def dialect(self) -> Dialect:
        """How pages of CSV are written, for the strict reader."""
        return Dialect(
            separator=(self.separator or ",").encode(),
            quote=self.quote_char.encode() if self.quote_char else None,
            comment=self.comment_prefix.encode() if self.comment_prefix else None,
            skip_lines=self.skip_rows,
            has_header=self.has_header,
            pad=self.on_malformed == "pad",
            trailing_delimiter=self.trailing_delimiter,
            columns=len(self.column_names or ()) if self.on_malformed == "pad" and not self.has_header else 0,
        )
