"""What a host sees of one service whose pipelines ask it at the same time: one polite client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving
from tests.examples import mostly_slow
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

PAGES = 16
LIMITS = [((3, 3), 3), ((1, 1), 1), ((None, None), 2)]
LATE = 0.5  # how long the most punctual of many requests may take from one process to the other, on a busy machine


class Watched:
    """A host that notes when each pipeline asked, and how many requests it had at once."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []
        self.robots = ""
        self.throttled: float | None = None
        self.hold = 0.0
        self.company: threading.Barrier | None = None  # nobody gets a first page before all have asked for theirs
        self.most = self._busy = 0
        self._lock = threading.Lock()

    def __call__(self, hit: Hit) -> Reply:
        name = hit.path.strip("/")
        with self._lock:
            self.seen.append((time.monotonic(), name))
            self._busy += 1
            self.most = max(self.most, self._busy)
            throttle = self.throttled is None and "429" in hit.query and len(self.seen) > PAGES // 2
            if throttle:
                self.throttled = time.monotonic()
        if self.company is not None and (hit.query.get("page") == "1" or name == "web0"):
            self.company.wait(PATIENCE)
        if self.hold:
            time.sleep(self.hold)
        with self._lock:
            self._busy -= 1
        if throttle:
            return Reply(b"{}", 429, {"Retry-After": "2"})
        if hit.path == "/robots.txt":
            return Reply(self.robots.encode())
        if name.startswith("web"):
            return Reply(f"<p class=r>{name}</p>".encode(), headers={"content-type": "text/html"})
        page = int(hit.query["page"])
        return Reply.json({"items": [{"id": page, "of": name}] if page <= PAGES else [], "total": PAGES})

    def overlapped(self, *names: str) -> bool:
        """Whether each was asked for before any other was done with."""
        moments = {n: [t for t, name in self.seen if name.startswith(n)] for n in names}
        return max(m[0] for m in moments.values()) < min(m[-1] for m in moments.values())


def apart(moments: list[float], distance: float) -> bool:
    """Whether requests that arrived at ``moments`` can have left with ``distance`` seconds between each and the next.

    Whatever is late arrives late, so that single gaps say nothing; but the last cannot arrive before its time. It is
    held against the most punctual of the first half.
    """
    last = len(moments) - 1
    early = enumerate(moments[: len(moments) // 2])
    return max(moments[-1] - moment - (last - number) * distance for number, moment in early) > -LATE


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_MAX_CONCURRENT_RUNS": "4",
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
    }
    with serving(tmp_path_factory.mktemp("polite") / "data", **settings) as served:
        served.login()
        yield served


def api(address: str, name: str, query: str = "", **more: Any) -> dict[str, Any]:
    return {
        "type": "api", "endpoint": f"{address}/{name}{query}", "completeness": "strict",
        "pagination": {"type": "page", "total_path": "total"}, "retry": {"initial_delay_seconds": 0}, **more,
    }  # fmt: skip


@contextmanager
def host() -> Iterator[tuple[Watched, str]]:
    watched = Watched()
    with site.serving(watched) as there:
        yield watched, there.address


def together(served: Served, **collectors: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run a pipeline for each collector, all at once; answers the runs."""
    for name, collector in collectors.items():
        document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}
        served.json("POST", "/pipeline/create", status=201, json=document)

    def execute(name: str) -> dict[str, Any]:
        run: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=60")
        return run

    with ThreadPoolExecutor(len(collectors)) as side_by_side:
        runs = dict(zip(collectors, side_by_side.map(execute, collectors), strict=True))
    for name, run in runs.items():
        assert run["status"] == "completed", run["error"]
        served.json("DELETE", f"/pipeline/{name}?purge=true")
    return runs


def test_the_distance_holds_over_all_runs(served: Served) -> None:
    with host() as (watched, address):
        watched.company = threading.Barrier(2)
        runs = together(
            served, one=api(address, "one", requests_per_second=8), two=api(address, "two", requests_per_second=8)
        )
    assert [run["rows_stored"] for run in runs.values()] == [PAGES, PAGES]
    assert watched.overlapped("one", "two")
    moments = [moment for moment, _ in watched.seen]
    assert len(moments) == 2 * PAGES
    assert apart(moments, 1 / 8)  # two that did not know of each other would be through in half the time


def test_requests_that_come_late_are_told_from_those_that_left_early() -> None:
    """What the others rely on: the measure knows the one from the other."""
    punctual = [n / 8 for n in range(32)]
    assert apart(punctual, 1 / 8)
    assert apart([moment + 2 * (n in (0, 3, 4, 5, 20)) for n, moment in enumerate(punctual)], 1 / 8)
    assert not apart([n / 16 for n in range(32)], 1 / 8)
    assert not apart([n // 2 / 8 for n in range(32)], 1 / 8)


@pytest.mark.slow
def test_what_a_host_answers_one_run_holds_for_the_other(served: Served) -> None:
    with host() as (watched, address):
        watched.hold, watched.company = 0.15, threading.Barrier(2)
        runs = together(served, told=api(address, "told", "?429=1"), other=api(address, "other"))
    assert [run["rows_stored"] for run in runs.values()] == [PAGES, PAGES]
    assert watched.throttled is not None
    # What was on its way by then may arrive within a second; who did not listen would ask in the next one too.
    later = [(t - watched.throttled, name) for t, name in watched.seen if t > watched.throttled + 1]
    assert min(later)[0] >= 2
    assert {name for _, name in later} == {"told", "other"}


@pytest.mark.parametrize(("limits", "most"), mostly_slow(LIMITS, LIMITS[:1]))
def test_so_many_requests_are_on_their_way_over_all_runs(
    limits: tuple[int | None, int | None], most: int, served: Served
) -> None:
    with host() as (watched, address):
        watched.hold = 0.12
        watched.company = threading.Barrier(2) if most > 1 else None
        given: list[dict[str, Any]] = [{} if n is None else {"concurrency": n} for n in limits]
        together(served, one=api(address, "one", **given[0]), two=api(address, "two", **given[1]))
    assert watched.overlapped("one", "two")
    assert watched.most == most


@pytest.mark.slow
def test_a_crawl_delay_holds_for_whoever_asks(served: Served) -> None:
    with host() as (watched, address):
        watched.company = threading.Barrier(2)
        watched.robots = "User-agent: *\nCrawl-delay: 0.5\n"
        pages = [f"{address}/web{n}" for n in range(6)]
        web = {"type": "web", "url": pages, "css_selectors": {"container": "p", "text": ""}}
        together(served, crawl=web, calls=api(address, "calls", requests_per_second=50))
    crawled = [i for i, (_, name) in enumerate(watched.seen) if name.startswith("web")]
    assert len(crawled) == 6
    between = watched.seen[crawled[0] : crawled[-1] + 1]
    assert {name[:5] for _, name in between} > {"calls"}
    assert apart([moment for moment, _ in between], 0.5)
