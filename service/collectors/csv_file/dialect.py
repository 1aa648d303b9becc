"""How a CSV file is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """How the file is written; single bytes."""

    separator: bytes = b","
    quote: bytes | None = b'"'
    comment: bytes | None = None
    skip_lines: int = 0
    has_header: bool = True
    pad: bool = False
    """Whether missing fields at the end of a row are empty, and the row is not malformed."""
    trailing_delimiter: bool = False
    """Whether rows end with a separator, which no field follows."""
    columns: int = 0
    """How many fields a row has, if names that the user gives decide that and not the first row (0)."""
    lossy: bool = False
    """Whether bytes that are not UTF-8 become U+FFFD instead of making a row malformed."""
