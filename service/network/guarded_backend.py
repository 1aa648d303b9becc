"""The network backend of the guarded client: it dials only what ``egress`` admits."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore

from service.network import egress

Resolver = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Every address of ``host``, from the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Backend(httpcore.AsyncNetworkBackend):
    """Dials only addresses that the policy admits."""

    def __init__(
        self, policy: egress.Policy, resolver: Resolver = resolve, inner: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first checked address of ``host`` that answers.

        Raises ``Refused``, or httpcore's connection errors.
        """
        self._policy.check_port(host, port)
        failure: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for address in await self._checked(host, port, timeout):
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked(self, host: str, port: int, limit: float | None) -> list[egress.Address]:
        try:
            async with asyncio.timeout(limit):
                answers = await self._resolver(egress.plain(host), port)
            addresses = [ipaddress.ip_address(a) for a in dict.fromkeys(answers)]
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"resolving the name {host} took too long") from error
        except (OSError, ValueError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved") from error
        for address in addresses:
            if not self._policy.admits(address, host, port):
                raise egress.Refused(self._why(address, host, port))
        return addresses

    def _why(self, address: egress.Address, host: str, port: int) -> str:
        if egress.judge(address) == "never":
            return f"{host} is refused: it is a link-local, metadata, multicast or unspecified address"
        return (
            f"{host} is refused: it is a private address; an operator can allow it with "
            f"PENSTOCK_ALLOWED_PRIVATE_HOSTS={egress.netloc(host)}:{port}"
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Always ``Refused``: a source is on the network."""
        raise egress.Refused("unix sockets are refused")

    async def sleep(self, seconds: float) -> None:
        """Wait between httpcore's own attempts."""
        await self._inner.sleep(seconds)
