"""The pace of hosts in the catalog: services that exchange at the same time share what there is, and no more."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.catalog.host_paces import HostPaces
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.network.pace_shares import Wish

pytestmark = pytest.mark.services


def test_services_that_exchange_at_the_same_time_get_no_more_than_there_is(url: str) -> None:
    stores = [PostgreSQLStore(Server(url)) for _ in range(4)]
    begin = threading.Barrier(4)

    def ask(number: int) -> list[int]:
        paces, held, found = HostPaces(stores[number], f"s{number}"), 0, []
        begin.wait(60)
        for _ in range(5):
            _, loans = paces.exchange({name: Wish(wanted=5, held=held, limit=5) for name in ("a", "b")})
            held = loans["a"].places
            found.append(held)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert sum(each[-1] for each in found) <= 5
    rows = {row["host"] for row in stores[0].rows("SELECT host FROM host_pace")}
    assert rows == {"a", "b"}
    for number, store in enumerate(stores):
        HostPaces(store, f"s{number}").exchange({name: Wish(wanted=0) for name in ("a", "b")})
        store.close()


def test_windows_of_services_follow_each_other_on_the_clock_of_the_server(url: str) -> None:
    stores = [PostgreSQLStore(Server(url)) for _ in range(2)]
    wish = {"a": Wish(wanted=1, shortest=30.0, longest=30.0)}
    (now, first), (later, second) = (HostPaces(store, str(n)).exchange(wish) for n, store in enumerate(stores))
    assert now <= later < now + 60
    assert first["a"].begin == now
    assert second["a"].begin >= first["a"].until + 29.8
    for store in stores:
        store.close()


def test_a_state_that_another_release_wrote_makes_requests_wait_and_stops_nobody(url: str) -> None:
    store = PostgreSQLStore(Server(url))
    paces, wish = HostPaces(store, "s"), {"a": Wish(wanted=1, shortest=1.0, longest=1.0)}
    paces.exchange(wish)
    for value, wait in (('{"claims": {"t": {"wanted": "many"}}}', 3.0), ('{"free": 0.0, "more": true}', 0.0)):
        store.execute("UPDATE host_pace SET value = $value::JSON", {"value": value})
        now, loans = paces.exchange(wish)
        assert loans["a"].begin >= now + wait
    store.close()
