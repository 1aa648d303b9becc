"""``penstock flight``: Flight SQL for BI tools, as a client of the REST API of a running service."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from service.kit import errors

_GRACE_SECONDS = 3.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def flight(
    *,
    host: str,
    port: int,
    url: str,
    certificate: Path | None,
    key: Path | None,
    timeout_seconds: float,
    stall_seconds: float,
) -> None:
    """Serve until a signal. Raises ``errors.Invalid``, ``errors.Conflict``."""
    try:
        import service.flight.server  # noqa: F401 - are its libraries there?
    except ModuleNotFoundError as error:
        text = f"this needs the extra 'flight': pip install 'penstock[flight]' ({error.name} is missing)"
        raise errors.Invalid(text) from None
    if (certificate is None) != (key is None):
        raise errors.Invalid("give both --tls-certificate and --tls-key, or neither", field="tls_certificate")
    tls = (_content(certificate, "tls_certificate"), _content(key, "tls_key")) if certificate and key else None
    if tls is None and host not in _LOOPBACK:
        click.echo("warning: without --tls-certificate passwords and rows travel unencrypted", err=True)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asyncio.run(_serve(place, url, tls, timeout_seconds, stall_seconds))


def _content(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.Invalid(f"{path} cannot be read: {error.strerror}", field=field) from None


async def _serve(
    place: str, url: str, tls: tuple[bytes, bytes] | None, timeout_seconds: float, stall_seconds: float
) -> None:
    from service.client.relay import Relay
    from service.flight.server import MOST_CALLS, Server

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    relay = Relay(url, seconds=timeout_seconds, connections=2 * MOST_CALLS)
    server = Server(relay, stall_seconds=stall_seconds)
    try:
        try:
            port = await server.start(place, tls)
        except OSError:
            text = f"{place} cannot be listened on; choose another --host or --port"
            raise errors.Conflict(text, code="PORT_IN_USE") from None
        host = place.rpartition(":")[0]
        click.echo(f"Flight SQL listens on grpc{'+tls' if tls else ''}://{host}:{port} for {url}")
        await stopping.wait()
        await server.stop(_GRACE_SECONDS)
    finally:
        await relay.close()
