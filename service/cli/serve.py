"""``penstock serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import click

from service.api import server
from service.api.sign_in_link import SignInLink
from service.cli import service_start
from service.kit.settings import Settings
from service.kit.stopping import Stopping


def serve(**chosen: Any) -> None:
    """Serve until a signal. Raises ``errors.Invalid``, ``errors.Conflict``."""
    asyncio.run(until_stopped(*service_start.begin(**chosen), _announce))


async def until_stopped(
    settings: Settings, environment: Mapping[str, str], announce: Callable[[str], None], link: SignInLink | None = None
) -> None:
    """Listen at once; the rest of the service is loaded meanwhile. A signal that comes before ends it afterwards."""
    stopping = Stopping.by_signals()

    def show_password(password: str) -> None:
        click.echo(
            f"First start: sign in with the account '{settings.admin_username}' and the password {password} "
            "(shown this once)"
        )

    async with server.listening(settings.host, settings.port) as listener:
        bootstrap = await asyncio.to_thread(_loaded)
        await bootstrap.serve(settings, environment, listener, stopping, announce, show_password, link=link)


def _loaded() -> ModuleType:
    from service import bootstrap
    from service.api import app  # noqa: F401 - bootstrap imports it when it is needed

    return bootstrap


def _announce(address: str) -> None:
    click.echo(
        f"Penstock listens on {address} (open {address}/console/ in a browser; the API is described at {address}/docs)"
    )
