"""How much is answered, and how: the format that was asked for, and the most rows."""

from __future__ import annotations

from service.kit import errors
from service.model.formats import FORMATS


def known_format(format_: str) -> None:
    """Raise ``errors.NotAcceptable`` for a format that does not exist."""
    if format_ not in FORMATS:
        hint = errors.did_you_mean(format_, FORMATS)
        raise errors.NotAcceptable(f"unknown format '{format_}'{hint}; one of {', '.join(FORMATS)}")


def rows(limit: int | None, format_: str, most: int) -> int | None:
    """The most rows of an answer; None for all. JSON has at most ``most``. Raises ``errors.Invalid``."""
    if limit is not None and limit < 0:
        raise errors.Invalid("limit: must not be negative", field="limit")
    if FORMATS[format_].streamed:
        return limit
    if limit is not None and limit > most:
        raise errors.Invalid(
            f"limit: at most {most} rows of JSON; take ndjson, csv, arrow or parquet for more", field="limit"
        )
    return min(1000, most) if limit is None else limit
