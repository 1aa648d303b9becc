"""The address policy and the backend that dials: who is let through, by which name, and what is really dialled."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Any

import httpcore
import pytest

from service.network import guarded_backend
from service.network.egress import Policy, Refused, judge
from service.network.guarded_backend import Backend

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.0.2.1",
    "192.0.0.8", "192.88.99.1", "240.0.0.1", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:101:101::", "2001:0:1::1",
    "2001:db8::1", "3fff::1", "fc00::1", "fd12::1", "fec0::1", "4000::1", "100::1", "5f00::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "224.0.0.1", "255.255.255.255", "::", "fe80::1", "fe80::1%1", "fd00:ec2::254", "fd20:ce::254", "ff02::1",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "verdict"),
    [(a, v) for v, them in (("public", PUBLIC), ("private", PRIVATE), ("never", NEVER)) for a in them],
)
def test_requirement_28_addresses_are_judged_with_what_is_inside_them(address: str, verdict: str) -> None:
    assert judge(ipaddress.ip_address(address)) == verdict


class Dialled(Exception):
    """Instead of a connection."""


class Wire(httpcore.AsyncNetworkBackend):
    """Remembers what was dialled, and refuses the addresses that are ``dead``."""

    def __init__(self, dead: Iterable[str] = ()) -> None:
        self.dialled: list[str] = []
        self.dead = set(dead)

    async def connect_tcp(self, host: str, *_: Any) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if host in self.dead:
            raise httpcore.ConnectError("nobody there")
        raise Dialled(host)

    async def connect_unix_socket(self, *_: Any) -> httpcore.AsyncNetworkStream:
        raise Dialled("unix")

    async def sleep(self, seconds: float) -> None:
        raise Dialled(str(seconds))


def dial(
    host: str, answers: list[str], *, port: int = 443, allowed: Iterable[str] = (), wire: Wire | None = None
) -> str:
    """The address that is dialled for ``host``."""

    async def resolver(name: str, _: int) -> list[str]:
        return answers

    backend = Backend(Policy.of(allowed), resolver, wire or Wire())
    with pytest.raises(Dialled) as caught:
        asyncio.run(backend.connect_tcp(host, port))
    return str(caught.value)


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_requirement_28_what_is_not_public_is_not_dialled(address: str) -> None:
    with pytest.raises(Refused, match="refused"):
        dial("name.example", [address])


@pytest.mark.parametrize("address", NEVER)
def test_requirement_30_never_means_never_whatever_is_allowed(address: str) -> None:
    with pytest.raises(Refused, match="link-local, metadata"):
        dial("name.example", [address], allowed=["0.0.0.0/0", "::/0", "name.example"])


def test_requirement_28_one_bad_answer_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(Refused):
        dial("name.example", ["1.1.1.1", "10.0.0.1"])


def test_requirement_28_the_checked_address_is_dialled_and_the_name_resolved_once() -> None:
    asked = []

    async def rebinding(name: str, _: int) -> list[str]:
        asked.append(name)
        return ["1.1.1.1"] if len(asked) == 1 else ["127.0.0.1"]

    wire = Wire()
    with pytest.raises(Dialled, match=r"^1\.1\.1\.1$"):
        asyncio.run(Backend(Policy(), rebinding, wire).connect_tcp("Name.Example.", 443))
    assert (asked, wire.dialled) == (["name.example"], ["1.1.1.1"])
    with pytest.raises(Refused):
        asyncio.run(Backend(Policy(), rebinding, wire).connect_tcp("name.example", 443))


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    wire = Wire(dead=["1.1.1.1"])
    assert dial("name.example", ["1.1.1.1", "1.0.0.1"], wire=wire) == "1.0.0.1"
    with pytest.raises(httpcore.ConnectError, match="nobody"):
        dial("name.example", ["1.1.1.1"], wire=wire)


@pytest.mark.parametrize("form", ["2130706433", "127.1", "0x7f000001", "017700000001", "127.0.0.1", "localhost"])
def test_requirement_28_every_way_to_write_loopback_is_refused_by_the_system_resolver(form: str) -> None:
    with pytest.raises((Refused, httpcore.ConnectError)):
        asyncio.run(Backend(Policy(), guarded_backend.resolve, Wire()).connect_tcp(form, 8080))


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long"), ValueError("not one")])
def test_requirement_29_no_answer_means_no_connection(error: Exception) -> None:
    async def failing(name: str, _: int) -> list[str]:
        raise error

    with pytest.raises(httpcore.ConnectError, match="cannot be resolved"):
        asyncio.run(Backend(Policy.of(["name.example"]), failing, Wire()).connect_tcp("name.example", 443))


def test_requirement_29_answers_that_are_no_addresses_or_none_at_all() -> None:
    with pytest.raises(httpcore.ConnectError, match="cannot be resolved"):
        dial("name.example", ["not-an-address"])
    with pytest.raises(httpcore.ConnectError, match="has no address"):
        dial("name.example", [])


def test_requirement_29_a_resolver_that_hangs_is_given_up() -> None:
    async def hanging(name: str, _: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(httpcore.ConnectTimeout, match="took too long"):
        asyncio.run(Backend(Policy(), hanging, Wire()).connect_tcp("name.example", 443, timeout=0.01))


@pytest.mark.parametrize(
    ("allowed", "host", "port", "address"),
    [
        ("10.0.0.0/8", "db.example", 443, "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3", 8080, "10.1.2.3"),
        ("10.1.2.3", "db.example", 443, "::ffff:10.1.2.3"),
        ("db.example", "db.example", 8080, "10.1.2.3"),
        ("DB.example.", "db.example", 443, "10.1.2.3"),
        ("db.example:8080", "db.example", 8080, "10.1.2.3"),
        ("[::1]:8080", "[::1]", 8080, "::1"),
        ("[::1]", "[::1]", 8080, "::1"),
        ("::1", "localhost", 8080, "::1"),
        ("localhost:81", "localhost", 81, "127.0.0.1"),
    ],
)
def test_what_an_operator_allows_is_dialled(allowed: str, host: str, port: int, address: str) -> None:
    dialled = dial(host, [address], port=port, allowed=[allowed])
    assert ipaddress.ip_address(dialled) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    ("allowed", "host", "port", "address"),
    [
        ("db.example:8080", "db.example", 443, "10.1.2.3"),
        ("db.example", "other.example", 443, "10.1.2.3"),
        ("db.example", "x.db.example", 443, "10.1.2.3"),
        ("10.0.0.0/8", "db.example", 443, "192.168.0.1"),
        ("1.1.1.1", "db.example", 443, "10.0.0.1"),
    ],
)
def test_allowing_one_allows_no_other(allowed: str, host: str, port: int, address: str) -> None:
    with pytest.raises(Refused, match="PENSTOCK_ALLOWED_PRIVATE_HOSTS="):
        dial(host, [address], port=port, allowed=[allowed])


@pytest.mark.parametrize("host", ["::1", "db.example"])
@pytest.mark.parametrize("port", [22, 8080])
def test_what_is_said_to_allow_it_does(host: str, port: int) -> None:
    with pytest.raises(Refused) as caught:
        dial(host, ["::1"], port=port)
    dial(host, ["::1"], port=port, allowed=[str(caught.value).rpartition("=")[2]])


@pytest.mark.parametrize("port", [1, 22, 25, 81, 1023])
def test_requirement_31_privileged_ports_are_refused(port: int) -> None:
    with pytest.raises(Refused, match=f"port {port}"):
        dial("name.example", ["1.1.1.1"], port=port)


@pytest.mark.parametrize("entry", ["", "host:", "host:x", "10.0.0.0/99", ":80", "a/b"])
def test_entries_that_mean_nothing_are_errors(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        Policy.of([entry])


def test_unix_sockets_are_refused_and_waiting_is_httpcores() -> None:
    with pytest.raises(Refused, match="unix"):
        asyncio.run(Backend(Policy(), guarded_backend.resolve, Wire()).connect_unix_socket("/run/x"))
    with pytest.raises(Dialled, match=r"0\.5"):
        asyncio.run(Backend(Policy(), guarded_backend.resolve, Wire()).sleep(0.5))
