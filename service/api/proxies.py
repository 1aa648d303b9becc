"""Reverse proxies that the operator trusts: the client and the scheme that they name are those of the request.

``X-Forwarded-For`` and ``X-Forwarded-Proto`` from anybody else are ignored, since any client can send them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from litestar.types import Scope

from service.api import local_caller


class TrustedProxies:
    """The addresses and networks of proxies (``PENSTOCK_TRUSTED_PROXIES``)."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def resolve(self, scope: Scope) -> None:
        """Put the client and the scheme that a trusted proxy names into ``scope``."""
        if not self._networks:
            return
        client = scope.get("client")
        if client is None or local_caller.is_local(scope) or not self._trusts(client[0]):
            return
        address = client[0]
        for named in reversed(_values(scope, b"x-forwarded-for")):
            if (known := _address(named)) is None:
                break
            address = known
            if not self._trusts(address):
                break
        scope["client"] = (address, client[1] if address == client[0] else 0)
        schemes = _values(scope, b"x-forwarded-proto")
        if schemes and schemes[-1].lower() in ("http", "https"):
            scope["scheme"] = schemes[-1].lower()

    def _trusts(self, address: str) -> bool:
        known = _address(address)
        return known is not None and any(ipaddress.ip_address(known) in network for network in self._networks)


def _values(scope: Scope, header: bytes) -> list[str]:
    """The values of a header that may be sent several times, each with several values."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return [value.strip() for line in lines for value in line.split(",") if value.strip()]


def _address(text: str) -> str | None:
    """The IP address in ``text``, without port and brackets; None if it is none."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
