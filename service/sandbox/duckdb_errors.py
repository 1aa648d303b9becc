"""DuckDB's exceptions as errors of the project, by a table that a test keeps complete.

With ``errors_as_json`` DuckDB says where in the statement it stumbled; that place is counted in bytes and is
given on in characters. No message carries a path of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from service.kit import errors
from service.kit.codes import Code

_INVALID: Final = "INVALID_SQL"
_REFUSED: Final = "SQL_NOT_ALLOWED"
_TIMEOUT: Final = "QUERY_TIMEOUT"
_MEMORY: Final = "QUERY_TOO_LARGE"
_BROKEN: Final = "INTERNAL_ERROR"

# By class name, looked up along the MRO: the names below are all that DuckDB has.
TABLE: dict[str, Code] = {
    "BinderException": _INVALID,
    "CatalogException": _INVALID,
    "ConstraintException": _INVALID,
    "ConversionException": _INVALID,
    "DataError": _INVALID,
    "DependencyException": _INVALID,
    "IntegrityError": _INVALID,
    "InternalException": _INVALID,  # a statement that DuckDB's own checks stumble over is not our failure
    "InvalidInputException": _INVALID,
    "InvalidTypeException": _INVALID,
    "NotImplementedException": _INVALID,
    "NotSupportedError": _INVALID,
    "OutOfRangeException": _INVALID,
    "ParserException": _INVALID,
    "ProgrammingError": _INVALID,
    "SequenceException": _INVALID,
    "SerializationException": _INVALID,
    "SyntaxException": _INVALID,
    "TransactionException": _INVALID,
    "TypeMismatchException": _INVALID,
    "HTTPException": _REFUSED,
    "PermissionException": _REFUSED,
    "InterruptException": _TIMEOUT,
    "OutOfMemoryException": _MEMORY,
    "ConnectionException": _BROKEN,
    "DatabaseError": _BROKEN,
    "Error": _BROKEN,
    "FatalException": _BROKEN,
    "InternalError": _BROKEN,
    "IOException": _BROKEN,
    "OperationalError": _BROKEN,
    "ResourceInUseException": _BROKEN,
}

# What an error says of itself where its class was lost on the way (Arrow's reader knows only texts).
_BY_WORD: dict[str, Code] = {
    "connection": _BROKEN,
    "fatal": _BROKEN,
    "http": _REFUSED,
    "interrupt": _TIMEOUT,
    "io": _BROKEN,
    "out of memory": _MEMORY,
    "permission": _REFUSED,
}

_JSON = re.compile(r"^[^{]*(\{.*\})\s*$", re.DOTALL)
_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_SPILLED = re.compile(r"failed to offload data block .*/(?P<most>[\d.]+) (?P<unit>[KMGT]iB|bytes) used")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_POINTER = re.compile(r"\n\s*\nLINE \d+:.*\Z", re.DOTALL)


def _parsed(text: str) -> tuple[str, int | None]:
    """The message and the byte position in DuckDB's text."""
    match = _JSON.match(text)
    if match:
        try:
            found: dict[str, Any] = msgspec.json.decode(match[1])
            position = found.get("position")
            kind = str(found.get("exception_type", "")).strip()
            message = str(found["exception_message"])
            return (f"{kind} Error: {message}" if kind else message), int(position) if position is not None else None
        except (msgspec.DecodeError, KeyError, ValueError, TypeError):
            pass  # a message that merely looks like JSON is taken as it is
    return text, None


def characters(statement: str, position: int | None) -> int | None:
    """A byte offset into ``statement`` as a character offset; None where it lies outside."""
    if position is None or position < 0:
        return None
    raw = statement.encode()
    return len(raw[:position].decode(errors="ignore")) if position <= len(raw) else None


def cleaned(message: str, roots: Iterable[str]) -> str:
    """``message`` without the given directories of the server."""
    for root in sorted((r for r in roots if len(r) > 1), key=len, reverse=True):
        message = message.replace(root.rstrip("/") + "/", "").replace(root, "")
    return message


def too_large(memory_bytes: int) -> errors.Invalid:
    """The query wanted more memory than a worker has."""
    return errors.Invalid(
        f"the query needs more memory than the limit of {memory_bytes >> 20} MiB; "
        "select fewer columns or rows, aggregate first, or raise PENSTOCK_QUERY_MEMORY_LIMIT",
        code="QUERY_TOO_LARGE",
    )


def storage_full() -> errors.Unavailable:
    """The query did not fit into memory, and the disk has no room for the rest."""
    return errors.Unavailable(
        "the query needs more than its memory, and the disk of the data directory, where the rest would go, is full; "
        "select fewer columns or rows, aggregate first, or free space (delete versions or uploads)",
        code="STORAGE_FULL",
        retry_after=60,
    )


def timed_out(seconds: float) -> errors.TimedOut:
    """The query did not end in time."""
    return errors.TimedOut(
        f"the query did not end within {seconds:g} s and was stopped; "
        "narrow it, or raise timeout_seconds up to PENSTOCK_QUERY_TIMEOUT_SECONDS"
    )


class Translator:
    """Knows what one worker must not tell: its directories; and what it may: its limits.

    ``spill_bytes`` is what it may write to the disk. DuckDB takes 90 % of the free space if that is less.
    """

    def __init__(self, *, roots: Iterable[str], memory_bytes: int, seconds: float, spill_bytes: int = 0) -> None:
        self._roots = tuple(roots)
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._spill_bytes = spill_bytes

    def __call__(
        self, error: Exception, *, statement: str = "", shift: int = 0, field: str | None = None
    ) -> errors.PenstockError:
        """``error`` (DuckDB's own, or one that Arrow made of its text) as one of ours.

        ``shift``: bytes that we put before the user's ``statement``.
        """
        kind = next((TABLE[c.__name__] for c in type(error).__mro__ if c.__name__ in TABLE), None)
        if kind is None:
            kind = _BY_WORD.get(str(error).partition(" Error:")[0].casefold(), _INVALID)
        text, position = _parsed(str(error))
        message = cleaned(_POINTER.sub("", text).strip(), self._roots)
        if kind not in (_REFUSED, _INVALID) and (_FULL.search(text) or self._had_no_room(text)):
            return storage_full()
        if kind == _MEMORY:
            return too_large(self._memory_bytes)
        if kind == _TIMEOUT:
            return timed_out(self._seconds)
        if kind == _REFUSED:
            return errors.Invalid(message, code=_REFUSED, field=field)
        if kind == _INVALID:
            place = characters(statement, None if position is None else position - shift)
            return errors.Invalid(message, code=_INVALID, field=field, position=place)
        return errors.PenstockError(f"the stored data could not be read ({type(error).__name__})")

    def _had_no_room(self, text: str) -> bool:
        """Whether the disk had less room than the query may spill; sizes in DuckDB's message have one decimal."""
        found = _SPILLED.search(text)
        return found is not None and float(found["most"]) * _UNITS[found["unit"]] * 1.06 < self._spill_bytes
