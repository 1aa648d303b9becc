"""Commands that ask a running service: at ``--url`` with an access token, else through the socket in the directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.cli import session
from service.client.connection import Connection
from service.client.errors import NoService, ServiceError
from service.files import service_socket
from service.kit import errors
from service.kit.codes import is_known
from service.kit.settings import TOKEN_VARIABLE


@contextmanager
def service(url: str | None, data_dir: str | None, *, patient: bool = False) -> Iterator[Connection | None]:
    """The service to ask: that at ``url``, else the one that runs on the data directory; None if neither is there.

    ``patient`` waits for an answer without a limit. The errors of the service become those of the product.

    Raises ``errors.Invalid``, ``errors.Unauthenticated``, ``errors.Unavailable`` and what the service answers.
    """
    if url is not None:
        with connected(url, patient=patient) as connection:
            yield connection
        return
    root = session.settings(data_dir=data_dir).root
    with service_socket.running(root) as socket:
        if socket is None:
            yield None
            return
        with (
            _translated(f"on {root}"),
            Connection("http://penstock", socket=str(socket), patient=patient) as connection,
        ):
            yield connection


@contextmanager
def connected(url: str, *, patient: bool = False) -> Iterator[Connection]:
    """A connection to the service at ``url``, as ``service``."""
    if not url.startswith(("http://", "https://")):
        raise errors.Invalid(f"--url: '{url}' is not an http:// or https:// URL", field="url")
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise errors.Unauthenticated(
            f"set {TOKEN_VARIABLE} to an access token; POST {url.rstrip('/')}/api/v1/auth/token has one"
        )
    with _translated(f"at {url}"), Connection(url, token, patient=patient) as connection:
        yield connection


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        raise _translate(error) from None
    except NoService as error:
        raise errors.Unavailable(f"no service answers {where}: {error}") from None


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
