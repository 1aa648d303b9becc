"""The HTTP server: the check that a port is free, the URL of an address, and Granian until a signal stops it.

This module is loaded before the framework is.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from service.api.early_answers import StartingApp
from service.files.service_socket import ServiceSocket
from service.kit import errors
from service.telemetry import logs

if TYPE_CHECKING:
    from granian.server.embed import Server
    from litestar import Litestar
    from litestar.types import ASGIApp

_CONNECTIONS = 1024
_HEADER_MILLISECONDS = 5_000
_DRAIN_SECONDS = 10.0

_log = structlog.get_logger("penstock.server")


def free_port(host: str, port: int) -> int:
    """``port`` if a server can listen on it, or a free port for 0. Raises ``errors.Conflict``, ``errors.Invalid``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise errors.Invalid(f"'{host}' is not an address of this machine", field="host") from error
    except OSError as error:
        raise errors.Conflict(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --port", code="PORT_IN_USE"
        ) from error


def url(host: str, port: int) -> str:
    """The URL of a server on ``host`` and ``port``; an IPv6 address gets its brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener:
    """A port that answers from the start on (``early_answers``), and with an application as soon as it has one."""

    def __init__(self, host: str, port: int) -> None:
        self._app = StartingApp()
        self._server = _server(self._app, address=host, port=port)
        self.port, self.url = port, url(host, port)
        self.serving = asyncio.create_task(self._server.serve())

    def answer_with(self, app: ASGIApp) -> None:
        """Let ``app`` answer from now on."""
        self._app.app = app

    async def stop(self) -> None:
        """Stop listening and wait for the last responses. May be called again."""
        self._server.stop()  # type: ignore[no-untyped-call]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.serving), _DRAIN_SECONDS)


@asynccontextmanager
async def listening(host: str, port: int) -> AsyncIterator[Listener]:
    """Listen on ``port``, or a free one for 0. Raises ``errors.Conflict``, ``errors.Invalid``."""
    listener = Listener(host, free_port(host, port))
    try:
        yield listener
    finally:
        await listener.stop()


async def answer(
    listener: Listener, app: Litestar, folder: Path, *, stopping: asyncio.Event, started: Callable[[], None],
    drain: Callable[[], Awaitable[None]],
) -> None:  # fmt: skip
    """Answer with ``app`` until ``stopping`` is set, then wait for ``drain`` and for the last responses.

    Commands of the same user are answered on a socket in ``folder``, too. ``started`` is called when requests reach
    ``app``; ``drain`` ends what responses wait for (runs).
    """
    async with _listening_locally(app, folder):
        listener.answer_with(app)
        waiting = asyncio.create_task(stopping.wait())
        started()
        await asyncio.wait([listener.serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        await drain()
    await listener.stop()
    waiting.cancel()


@asynccontextmanager
async def _listening_locally(app: Litestar, folder: Path) -> AsyncIterator[None]:
    """Serve ``app`` on the socket in ``folder`` meanwhile; a file system without sockets is a warning."""
    from service.api import local_caller

    socket = ServiceSocket(folder)
    server = _server(local_caller.marked(app), uds=socket.binding)
    server.bind_uds = socket.binding  # Granian resolves the path that it gets, which makes it long again
    server.on_startup(socket.publish)

    async def serve() -> None:
        try:
            socket.clear()
            await server.serve()
        except (OSError, RuntimeError) as error:
            _log.warning("server.no_socket", reason=str(error), hint="commands need --url and a token")

    serving = asyncio.create_task(serve())
    try:
        yield
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        with suppress(TimeoutError):
            await asyncio.wait_for(serving, _DRAIN_SECONDS)
        socket.close()


def _server(app: ASGIApp, **where: Any) -> Server:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    return Server(
        app, **where, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        backlog=_CONNECTIONS, backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS), log_dictconfig=logs.server_config(),
    )  # fmt: skip
