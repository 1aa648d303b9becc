"""The formats in which rows are answered: their names, media types and file endings."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """A format. ``media_types`` are those that ``Accept`` may name; the first is the one of the answer.

    ``streamed``: the answer is not cut at a page and is sent while it is made. ``binary``: not for a terminal.
    """

    media_types: tuple[str, ...]
    ending: str
    streamed: bool = True
    binary: bool = False

    @property
    def media_type(self) -> str:
        return self.media_types[0]


FORMATS: dict[str, Format] = {
    "json": Format(("application/json", "text/json"), "json", streamed=False),
    "ndjson": Format(("application/x-ndjson", "application/ndjson", "application/jsonl"), "ndjson"),
    "csv": Format(("text/csv",), "csv"),
    "arrow": Format(("application/vnd.apache.arrow.stream",), "arrows", binary=True),
    "parquet": Format(("application/vnd.apache.parquet",), "parquet", binary=True),
}
"""Every format by its name, as ``format=`` takes it."""

MEDIA_TYPES: tuple[str, ...] = tuple(form.media_type for form in FORMATS.values())
"""The media types of the answers."""

SCHEMA_FORMATS: dict[str, Format] = {
    "json": FORMATS["json"],
    "json-schema": Format(("application/schema+json",), "schema.json"),
    "sql": Format(("application/sql",), "sql"),
    "arrow": Format(("application/vnd.apache.arrow.stream",), "arrows", binary=True),
    "avro": Format(("application/vnd.apache.avro+json", "application/avro+json"), "avsc"),
}
"""The formats in which the schema of a version is answered."""
