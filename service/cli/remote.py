"""Commands that ask a running service: ``--url`` with an access token in ``PENSTOCK_TOKEN``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.client.connection import Connection, NoService, ServiceError
from service.kit import errors
from service.kit.codes import is_known
from service.kit.settings import TOKEN_VARIABLE


@contextmanager
def connected(url: str, *, patient: bool = False) -> Iterator[Connection]:
    """A connection to the service at ``url``; its errors become those of the product.

    ``patient`` waits for an answer without a limit.

    Raises ``errors.Invalid``, ``errors.Unauthenticated``, ``errors.Unavailable`` and what the service answers.
    """
    if not url.startswith(("http://", "https://")):
        raise errors.Invalid(f"--url: '{url}' is not an http:// or https:// URL", field="url")
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise errors.Unauthenticated(
            f"set {TOKEN_VARIABLE} to an access token; POST {url.rstrip('/')}/api/v1/auth/token has one"
        )
    try:
        with Connection(url, token, patient=patient) as connection:
            yield connection
    except ServiceError as error:
        raise _translate(error) from None
    except NoService as error:
        raise errors.Unavailable(f"no service answers at {url}: {error}") from None


def _translate(error: ServiceError) -> errors.PenstockError:
    code = error.code if is_known(error.code) else None
    translated = errors.PenstockError(error.message, code=code)
    translated.details = error.details
    return translated


def items(connection: Connection, path: str) -> list[dict[str, Any]]:
    """All items of a list route."""
    found: list[dict[str, Any]] = []
    while True:
        page = connection.get(path, {"limit": 1000, "offset": len(found)})
        found += page["items"]
        if not page["items"] or len(found) >= page["total"]:
            return found
