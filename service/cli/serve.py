"""``penstock serve``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import structlog

from service.api import server
from service.kit import settings as configuration
from service.kit.settings import Settings
from service.telemetry import logs

_TURN_SECONDS = 0.0005
"""How long a thread may keep others from the interpreter. Python's own 5 ms are several requests."""


def serve(**chosen: Any) -> None:
    """Serve until a signal. Raises ``errors.Invalid``, ``errors.Conflict``."""
    environment = dict(os.environ)
    settings = configuration.load(environment, **chosen)
    for name in environment:
        if name.startswith(configuration.PREFIX):
            del os.environ[name]  # no child process may find a secret in its environment
    logs.configure(settings.log_format, settings.log_level)
    log = structlog.get_logger("penstock.server")
    wanted = {name.removeprefix(configuration.PREFIX).lower(): value for name, value in environment.items()}
    for problem in configuration.reduced(wanted | {k: v for k, v in chosen.items() if v is not None}, settings):
        log.warning("settings.reduced", setting=problem.field, hint=problem.message)
    for problem in configuration.unknown(environment):
        log.warning("settings.unknown", setting=problem.field, hint=problem.message)
    for root in settings.file_roots:
        if not Path(root).is_dir():
            log.warning("settings.no_file_root", path=root, hint="there is no such directory")
    sys.setswitchinterval(_TURN_SECONDS)
    asyncio.run(_serve(settings, environment))


async def _serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Listen at once; the rest of the service is loaded meanwhile. A signal that comes before ends it afterwards."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    def show_password(password: str) -> None:
        click.echo(
            f"First start: the account '{settings.admin_username}' has the password {password} (shown this once)"
        )

    async with server.listening(settings.host, settings.port) as listener:
        bootstrap = await asyncio.to_thread(_loaded)
        await bootstrap.serve(settings, environment, listener, stopping, _announce, show_password)


def _loaded() -> ModuleType:
    from service import bootstrap
    from service.api import app  # noqa: F401 - bootstrap imports it when it is needed

    return bootstrap


def _announce(address: str) -> None:
    click.echo(f"Penstock listens on {address} (the API is described at {address}/docs)")
