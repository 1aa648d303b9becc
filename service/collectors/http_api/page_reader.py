"""The reader of all pages of one collection: it unpacks, decodes and reads a body by ``response_format``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from service.collectors.http_api import csv_body, page_body
from service.collectors.http_api.csv_body import CsvFormat
from service.collectors.http_api.page_body import JsonPages, PageBody
from service.network.request import Response

ResponseFormat = Literal["json", "ndjson", "csv"]
_NO_CONTENT = 204


@dataclass
class PageReader:
    """``path`` is that of the records (None: found by itself), ``encoding`` the codec that the user set, ``limit`` the
    largest number of decompressed bytes. ``on_error`` gets an error that an answer with status 200 reports, with the
    number of its page, and may raise."""

    response_format: ResponseFormat
    path: str | None
    limit: int
    on_error: Callable[[str, int], None]
    encoding: str | None = None
    csv: CsvFormat = field(default_factory=CsvFormat)

    def __post_init__(self) -> None:
        self._json = JsonPages(self.path, self.on_error)

    @property
    def records_path(self) -> str | None:
        """The path of the records as far as it is known; None: the document itself."""
        return self._json.path

    def read(self, answer: Response, page: int) -> PageBody:
        """The records of page ``page`` (from 0). Raises ``Unusable``, and the errors of ``on_error``."""
        if answer.status == _NO_CONTENT:
            return PageBody(0, b"")
        content_type = answer.headers.get("content-type", "")
        content = page_body.utf8(page_body.unpacked(answer.body, self.limit), content_type, self.encoding)
        match self.response_format:
            case "ndjson":
                return page_body.ndjson(content, self.on_error, page)
            case "csv":
                return csv_body.read(content, self.csv, content_type)
            case "json":
                return self._json.read(content, page)
