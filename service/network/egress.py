"""The egress policy: which addresses the guarded client may connect to. ``guarded_backend`` enforces it.

A host name is resolved once for each connection, **all** its addresses are checked, and one of the checked literal
addresses is dialled, so that a name that resolves differently the second time (DNS rebinding) gains nothing. Every
redirect and every new connection goes through that backend. An address inside another one (mapped, NAT64, 6to4) is
checked too.

Three verdicts: *public* is dialled; *private* only if the operator allowed it; *never* (metadata services,
link-local, multicast, the unspecified address) not even then. Without an answer of the resolver there is no connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from service.kit import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network
Verdict = Literal["public", "private", "never"]

_NEVER: tuple[Subnet, ...] = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8",  # "this host"
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata, Alibaba
        "192.0.0.192/32",  # metadata, Oracle
        "168.63.129.16/32",  # the platform's own address, Azure
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # metadata, AWS
        "fd20:ce::254/128",  # metadata, Google
        "ff00::/8",
    )
)
# `is_global` of Python 3.11 is True for these.
_PRIVATE: tuple[Subnet, ...] = tuple(
    ipaddress.ip_network(n)
    for n in (
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "240.0.0.0/4",
        "2001::/23",  # Teredo and other tunnels
        "3fff::/20",  # documentation
    )
)
_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 range with allocated unicast addresses; all others are at best private."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_WORST: dict[Verdict, int] = {"public": 0, "private": 1, "never": 2}


class Refused(Exception):
    """The policy forbids the connection. The message is meant for the user."""


def inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address embedded in an IPv6 address, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None


def judge(address: Address) -> Verdict:
    """The verdict on an address; an address that embeds another gets the stricter verdict of the two."""
    inner = inside(address)
    if inner is not None:
        outer: Verdict = "private" if address in _SIX_TO_FOUR else "public"
        return max(outer, judge(inner), key=_WORST.__getitem__)
    if any(address.version == n.version and address in n for n in _NEVER):
        return "never"
    if address.version == 6 and address not in _UNICAST:
        return "private"
    if not address.is_global or any(address.version == n.version and address in n for n in _PRIVATE):
        return "private"
    return "public"


@dataclass(frozen=True)
class Policy:
    """Which private destinations are allowed: names and addresses, with or without a port, and networks."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Subnet, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Policy:
        """Read ``host``, ``host:port``, ``[v6]:port``, an address or a CIDR; raises ``ValueError``."""
        hosts: set[tuple[str, int | None]] = set()
        networks: list[Subnet] = []
        for entry in (e.strip() for e in entries):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
                continue
            except ValueError:
                host, colon, port = entry.rpartition(":")
            if not colon or entry.endswith("]"):
                colon = ""
                host = entry
            elif not port.isdigit():
                raise ValueError(f"'{entry}' is not a host, host:port, address or CIDR")
            if not host or "/" in host:
                raise ValueError(f"'{entry}' is not a host, host:port, address or CIDR")
            hosts.add((plain(host), int(port) if colon else None))
        return cls(frozenset(hosts), tuple(networks))

    def names(self, host: str, port: int) -> bool:
        """Whether the operator allowed this host, by name or as a literal address."""
        name = plain(host)
        if (name, port) in self.hosts or (name, None) in self.hosts:
            return True
        try:
            return self._in_networks(ipaddress.ip_address(name))
        except ValueError:
            return False

    def admits(self, address: Address, host: str, port: int) -> bool:
        """Whether ``address``, to which ``host`` resolved, may be dialled."""
        verdict = judge(address)
        if verdict != "private":
            return verdict == "public"
        forms = [a for a in (address, inside(address)) if a is not None]
        return self.names(host, port) or any(self._in_networks(a) for a in forms)

    def _in_networks(self, address: Address) -> bool:
        return any(address.version == n.version and address in n for n in self.networks)

    def check_port(self, host: str, port: int) -> None:
        """Raise ``Refused`` for a privileged port other than 80 and 443, unless the host is allowed."""
        if port < 1024 and port not in (80, 443) and not self.names(host, port):
            raise Refused(
                f"port {port} of {host} is refused: below 1024 only 80 and 443 may be called; "
                f"an operator can allow it with PENSTOCK_ALLOWED_PRIVATE_HOSTS={netloc(host)}:{port}"
            )


def check(entries: Iterable[str]) -> None:
    """Refuse a list of allowed hosts that would fail every run. Raises ``errors.Invalid``."""
    try:
        Policy.of(entries)
    except ValueError as error:
        raise errors.Invalid.of([errors.Problem("PENSTOCK_ALLOWED_PRIVATE_HOSTS", str(error))], "settings") from error


def netloc(host: str) -> str:
    """The host as a URL shows it: an IPv6 address has brackets."""
    return f"[{host}]" if ":" in host else host


def plain(host: str) -> str:
    """The host as it is compared: lower case, without brackets and without a final dot."""
    return host.strip("[]").rstrip(".").lower()
