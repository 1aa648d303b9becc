"""A full disk: how it shows in errors of libraries and of the system, and the error that a user gets."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.kit import errors

_TEXT = re.compile(
    r"No space left on device|Disk quota exceeded|os error (28|122)\b"
    r"|failed to offload data block",  # DuckDB spills to 90 % of the free space, unless it is told a limit
    re.IGNORECASE,
)
_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT})
_LITTLE = 64 * 1024  # with less than this free, a write that failed has failed for want of space


def is_named(text: str) -> bool:
    """Whether a text of a library or of the system says that there is no space left."""
    return _TEXT.search(text) is not None


def is_full(error: BaseException) -> bool:
    """Whether the error, or one that it came from, says that there is no space left."""
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno in _NUMBERS) or is_named(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def is_exhausted(folder: Path) -> bool:
    """Whether the file system of ``folder`` has no space left at this moment."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _LITTLE


@contextmanager
def noticed(kind: type[Exception]) -> Iterator[None]:
    """Raise STORAGE_FULL instead of an error of this kind that comes from a full disk."""
    try:
        yield
    except kind as error:
        if is_full(error):
            raise storage_full() from error
        raise


def explain(error: errors.PenstockError, folder: Path) -> errors.PenstockError:
    """STORAGE_FULL for a step or process that failed because the disk of ``folder`` is full, else the error itself."""
    suspect = isinstance(error, errors.StepError) or error.error_code == "INTERNAL_ERROR"
    if suspect and (is_full(error) or is_exhausted(folder)):
        full = storage_full()
        full.details = {name: value for name, value in error.details.items() if name == "step"}
        return full
    return error


def storage_full() -> errors.Unavailable:
    """The error for a write that found the disk full (STORAGE_FULL)."""
    return errors.Unavailable(
        "the disk of the data directory is full, so nothing was stored; free space (delete versions, uploads, or "
        "pipelines with purge=true, which works on a full disk, or other files) or move PENSTOCK_DATA_DIR, then try "
        "again",
        code="STORAGE_FULL",
        retry_after=60,
    )
