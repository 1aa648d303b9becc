"""What a host sees of several processes that serve one installation: one polite client."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import Installation, installed
from tests.acceptance.served import Served
from tests.postgresql import Cluster
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

pytestmark = pytest.mark.services

PAGES = 12
LEASE = {"PENSTOCK_LEASE_SECONDS": "15"}
"""So long that no busy machine loses one."""


class Host:
    """A host that notes when it was asked and by whom, and how many requests it had at once."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []
        self.hold = 0.0
        self.most = self._busy = 0
        self.pause: float | None = None
        self._lock = threading.Lock()

    def __call__(self, hit: Hit) -> Reply:
        with self._lock:
            self.seen.append((time.monotonic(), hit.path.strip("/")))
            self._busy += 1
            self.most = max(self.most, self._busy)
            pause = self.pause is None and "pause" in hit.query and len({name for _, name in self.seen}) > 1
            if pause:
                self.pause = time.monotonic()
        time.sleep(self.hold)
        with self._lock:
            self._busy -= 1
        if pause:
            return Reply(b"{}", 429, {"Retry-After": "4"})
        page = int(hit.query["page"])
        return Reply.json({"items": [{"id": page}] if page <= PAGES else [], "total": PAGES})


@pytest.fixture
def host() -> Iterator[tuple[Host, str]]:
    found = Host()
    with site.serving(found) as there:
        yield found, there.address


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    with installed(cluster, tmp_path) as start:
        yield start


def create(served: Served, name: str, address: str, query: str = "", attempts: int = 1, **more: Any) -> None:
    collector = {
        "type": "api", "endpoint": f"{address}/{name}{query}", "completeness": "strict",
        "pagination": {"type": "page", "total_path": "total"}, "retry": {"initial_delay_seconds": 0}, **more,
    }  # fmt: skip
    execution = {"max_attempts": attempts, "retry_delay_seconds": 0}
    document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}], "execution": execution}
    served.json("POST", "/pipeline/create", status=201, json=document)


def run_all(served: Served, names: list[str]) -> list[str]:
    """Run the pipelines, each in whichever process is free, to their ends; answers the statuses."""
    for name in names:
        served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)
    statuses = []
    for name in names:
        run = served.json("GET", f"/pipeline/{name}/runs")["items"][0]["run_id"]
        with served.http.stream("GET", f"/runs/{run}/events", timeout=120) as events:
            assert "event: end" in events.iter_lines()
        statuses.append(served.json("GET", f"/runs/{run}")["status"])
    return statuses


def test_four_processes_keep_the_distance_of_one(start: Installation, host: tuple[Host, str]) -> None:
    watched, address = host
    processes = [start(f"p{number}", 1, **LEASE) for number in range(4)]
    names = [f"n{number}" for number in range(4)]
    for name in names:
        create(processes[0], name, address, requests_per_second=5)
    assert run_all(processes[0], names) == ["completed"] * 4
    moments = [moment for moment, _ in watched.seen]
    assert len(moments) == 4 * PAGES
    by_name = {name: [m for m, n in watched.seen if n == name] for name in names}
    assert max(m[0] for m in by_name.values()) < min(m[-1] for m in by_name.values())  # they went on side by side
    # Nothing starts early, and what is late at the end makes it longer. Each for itself would need a quarter of it.
    assert moments[-1] - moments[0] > (len(moments) - 1) / 5 - 0.5
    rates = [sum(1 for m in moments if begin <= m < begin + 2) / 2 for begin in moments]
    assert max(rates) <= 5 + 3  # one that is late may stand close to the next, but not many


def test_no_more_requests_are_in_flight_than_one_process_might_have_and_a_killed_one_loses_its_places(
    start: Installation, host: tuple[Host, str]
) -> None:
    watched, address = host
    watched.hold = 0.2
    lease = {"PENSTOCK_LEASE_SECONDS": "5"}
    api, lost, other = start("api", 0, **lease), start("lost", 1, **lease), start("other", 1, **lease)
    names = ["one", "two"]
    for name in names:
        create(api, name, address, attempts=5, concurrency=2)

    def kill() -> None:
        while len({name for _, name in watched.seen}) < 2:
            time.sleep(0.01)
        lost.process.send_signal(signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    assert run_all(api, names) == ["completed"] * 2
    killing.join()
    assert watched.most == 2
    assert other.process.poll() is None


def test_a_pause_that_one_process_was_asked_for_holds_for_the_others(
    start: Installation, host: tuple[Host, str]
) -> None:
    watched, address = host
    watched.hold = 0.1
    processes = [start(f"p{number}", 1, **LEASE) for number in range(2)]
    create(processes[0], "told", address, "?pause=1")
    create(processes[0], "other", address)
    assert run_all(processes[0], ["told", "other"]) == ["completed"] * 2
    assert watched.pause is not None
    later = sorted(m - watched.pause for m, _ in watched.seen if m > watched.pause)
    gaps = [(b - a, a) for a, b in itertools.pairwise([0.0, *later])]
    longest, last = max(gaps)
    assert last < 2.0  # what was lent before the others knew
    assert last + longest > 3.9
