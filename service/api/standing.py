"""Whether a caller still may what the headers of a request were admitted for.

A body may take half a minute to arrive, and a stream of events lasts as long as its run: meanwhile the caller may have
been demoted, disabled or logged out, and the pipeline made private. A stream also ends with its token. Where nothing
changed this costs no query.
"""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection

from service.api import access
from service.api.login import Identity
from service.api.services import Services
from service.kit import errors

_ADMITTED = "penstock.admitted"
Connection = ASGIConnection[Any, Any, Any, Any]


async def admit(connection: Connection, services: Services) -> None:
    """Admit a request to its route (``access``), and remember when that was. Raises as ``access.admit``."""
    stamp = services.ownership.stamp
    await access.admit(connection, services)
    connection.scope[_ADMITTED] = (services, stamp)  # type: ignore[literal-required]


async def confirm(connection: Connection) -> None:
    """Admit a request again, if anything changed. Raises ``errors.Unauthenticated``, or as ``access.admit``."""
    identity: Identity = connection.scope["identity"]  # type: ignore[typeddict-item]
    await identity.confirm()
    admitted: tuple[Services, int] | None = connection.scope.get(_ADMITTED)  # type: ignore[assignment]
    if admitted is not None and admitted[0].ownership.stamp != admitted[1]:
        await admit(connection, admitted[0])


async def lasts(connection: Connection) -> bool:
    """Whether ``confirm`` finds nothing and the token lasts: an answer without an end can only end."""
    identity: Identity = connection.scope["identity"]  # type: ignore[typeddict-item]
    admitted: tuple[Services, int] | None = connection.scope.get(_ADMITTED)  # type: ignore[assignment]
    now = admitted[0].clock.now().timestamp() if admitted is not None else 0.0
    if identity.until is not None and identity.until <= now:
        return False
    try:
        await confirm(connection)
    except errors.PenstockError:
        return False
    return True
