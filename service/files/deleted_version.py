"""Errors for want of a version that was deleted while it was about to be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.kit import errors


@contextlib.contextmanager
def named(versions: Iterable[tuple[str, int, Path]]) -> Iterator[None]:
    """Raise ``errors.Missing`` (VERSION_NOT_FOUND) in place of another error if a version is gone.

    A version is its pipeline, its number, and a path that it has; they are looked at after an error only.
    """
    try:
        yield
    except errors.PenstockError as error:
        for pipeline, number, path in versions:
            if not path.exists():
                raise errors.Missing(
                    f"the pipeline '{pipeline}' has no version {number} any more", code="VERSION_NOT_FOUND",
                    field="version",
                ) from error  # fmt: skip
        raise
