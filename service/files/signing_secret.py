"""The secret that signs access tokens where none is configured: a file of the data directory, written once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from service.files.layout import flush
from service.kit import errors

_SHORTEST = 32  # bytes


def read_or_create(path: Path) -> str:
    """The secret in ``path``; the first call creates it with mode 0600 and flushes it to disk.

    Raises ``errors.Invalid`` where the file cannot be read, or is too short to be one that was written here.
    """
    try:
        if not path.exists():
            _create(path)
        secret = path.read_text().strip()
    except (PermissionError, IsADirectoryError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.Invalid(
            f"the data directory's secret.key cannot be read or written ({reason}); mend that, or set "
            "PENSTOCK_JWT_SECRET",
            field="PENSTOCK_JWT_SECRET",
        ) from error
    if len(secret.encode()) < _SHORTEST:
        raise errors.Invalid("the data directory's secret.key is damaged; delete it, or set PENSTOCK_JWT_SECRET")
    return secret


def _create(path: Path) -> None:
    """The name stands for a whole secret or for none, so that a first start that is killed leaves nothing damaged."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_urlsafe(48))
    flush(fresh)
    fresh.replace(path)
    flush(path.parent)
