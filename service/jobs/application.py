"""Application: the messages of a worker that applies a version to records, encoded with msgpack.

A kept worker is started with an ``ApplySetup`` and gets an ``ApplyRequest`` for each piece of work; it answers an
``ApplyAnswer``, or an error (``jobs.tasks.task``). A worker that says ``free`` waits for another request.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from service.jobs.messages import Grants
from service.model.formats import FORMATS

MOST_RECORDS = 10_000
"""How many records one request may have."""
APPLY_FORMATS = {name: FORMATS[name] for name in ("json", "ndjson", "arrow")}
"""The formats in which records come and go."""
RecordFormat = Literal["json", "ndjson", "arrow"]


class ApplySetup(msgspec.Struct, frozen=True, kw_only=True):
    """The version that a worker applies for its whole life; it ends after ``requests`` requests.

    ``document`` is the revision that made it, ``fit_record`` the path of its fit record.
    """

    grants: Grants
    document: dict[str, Any]
    version: int
    fit_record: str
    requests: int = 10_000


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``records``: a JSON array, NDJSON or an Arrow IPC stream, as ``given`` says. The rows are answered as ``wanted``.

    ``index`` is the name of a new first column with the index of the record of each row.
    """

    records: bytes
    given: RecordFormat = "json"
    wanted: RecordFormat = "json"
    index: str | None = None


class ApplyAnswer(msgspec.Struct, kw_only=True, tag=True):
    """The rows in the wanted format, and how many records were removed. ``free``: the worker waits for more."""

    content: bytes
    dropped: int
    free: bool = False


decode_setup = msgspec.msgpack.Decoder(ApplySetup).decode
decode_request = msgspec.msgpack.Decoder(ApplyRequest).decode
decode_answer = msgspec.msgpack.Decoder(ApplyAnswer).decode
