"""The secret that signs access tokens where none is configured: a file of the data directory, written once."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from service.kit import errors

_SHORTEST = 32  # bytes


def read_or_create(path: Path) -> str:
    """The secret in ``path``; the first call creates it with mode 0600 and flushes it to disk.

    Raises ``errors.Invalid`` where the file is too short to be one that was written here.
    """
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(48))
            out.flush()
            os.fsync(out.fileno())
    secret = path.read_text().strip()
    if len(secret.encode()) < _SHORTEST:
        raise errors.Invalid("the data directory's secret.key is damaged; delete it, or set PENSTOCK_JWT_SECRET")
    return secret
