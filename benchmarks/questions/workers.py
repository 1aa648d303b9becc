"""Does throughput of tiny runs grow with workers, and what does PostgreSQL pay for a claim? Needs PostgreSQL (initdb).

A run waits three seconds for its source, so that its work is not this machine's: the same runs are executed by one host
with two slots, then by two. Runs are compared by number. Apart from that, eight claimers take the same queue as the
service does, and by hand with ``FOR UPDATE SKIP LOCKED`` and nothing else.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import psycopg

from benchmarks import client, measure, server
from benchmarks.options import Options
from service.catalog.history import History
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.kit.clock import SystemClock
from service.model.run import Run
from service.runs import attempt_records
from tests import postgresql

ONLY_BY_NAME = True
RUNS = 16
SLOTS = 2
AIM = 1.7
_SECONDS = 3.0
_QUEUED = 400
_CLAIMERS = 8
_BY_HAND = (
    "SELECT run_id, value::text FROM runs WHERE status = 'queued' ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED",
    "UPDATE runs SET status = 'running', value = %s::json, fence = fence + 1 WHERE run_id = %s",
)


def ask(options: Options) -> dict[str, Any]:
    """Seconds of the runs by number of hosts, for each repetition, and claims a second."""
    with postgresql.running() as cluster:
        with cluster.database() as url:
            answer = _hosts(options, url)
        with cluster.database() as url:
            return answer | {"claims": _claims(url, options.repeat)}


def _hosts(options: Options, url: str) -> dict[str, Any]:
    names = [f"tiny{number}" for number in range(RUNS)]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        source = stack.enter_context(_slow_source())
        store = stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder))
        shared = {"PENSTOCK_CATALOG_URL": url, "PENSTOCK_WAREHOUSE_URL": f"file://{store}"}
        api = stack.enter_context(server.running(options.folder, shared | {"PENSTOCK_MAX_CONCURRENT_RUNS": "0"}))
        host = shared | {"PENSTOCK_MAX_CONCURRENT_RUNS": str(SLOTS)}
        stack.enter_context(server.running(options.folder, host))
        for name in names:
            collector = {"type": "api", "endpoint": source}
            document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}
            api.call("POST", "/pipeline/create", document)
        for _ in range(options.repeat):
            seconds[1].append(_executed(api, names))
            with server.running(options.folder, host):
                seconds[2].append(_executed(api, names))
    grown = min(seconds[1]) / min(seconds[2])
    return {"runs": RUNS, "seconds": seconds, "grown": grown, "aim": AIM, "met": grown >= AIM}


def _executed(api: server.Service, names: list[str]) -> float:
    """From the first start of these pipelines' runs to the last end, as the catalog has them."""
    ids = [api.call("POST", f"/pipeline/{name}/execute?wait=0")["run_id"] for name in names]
    runs = []
    for run_id in ids:
        while (run := api.call("GET", f"/runs/{run_id}"))["end_time"] is None:
            time.sleep(0.5)
        if run["status"] != "completed" or run["attempt"] != 1:
            raise measure.Failed(f"{run_id}: {run['status']}, attempt {run['attempt']}")
        runs.append(run)
    first, last = min(run["start_time"] for run in runs), max(run["end_time"] for run in runs)
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


@contextmanager
def _slow_source() -> Iterator[str]:
    """The address of a source that answers a row after a while: another one each time, so that versions differ."""
    asked = iter(range(1 << 30))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(_SECONDS)
            body = b'[{"id": %d}]' % next(asked)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}/"
        found.shutdown()


def _claims(url: str, repeat: int) -> dict[str, Any]:
    clock = SystemClock()
    stores = [PostgreSQLStore(Server(url), shared=True) for _ in range(_CLAIMERS)]
    hosts = [History(store) for store in stores]
    by_hand = [psycopg.connect(url, autocommit=True, options="-c search_path=penstock") for _ in range(_CLAIMERS)]

    def ours(number: int) -> bool:
        return hosts[number].queue.claim(clock.now(), attempt_records.begun) is not None

    def simply(number: int) -> bool:
        connection = by_hand[number]
        with connection.transaction():
            row = connection.execute(_BY_HAND[0]).fetchone()
            if row is not None:
                connection.execute(_BY_HAND[1].encode(), [row[1], row[0]])
        return row is not None

    found: dict[str, Any] = {"the service": [], "by hand": []}
    for turn in range(repeat):
        for name, claim in (("the service", ours), ("by hand", simply)):
            for number in range(_QUEUED):
                run_id = f"run_{name}_{turn}_{number}"
                run = Run(run_id=run_id, pipeline="p", revision=1, status="queued", queued_at=clock.now())
                hosts[0].add_run(f"id{number}", run)
            found[name].append(_claimed(url, claim))
    for store in stores:
        store.close()
    for connection in by_hand:
        connection.close()
    return {name: max(entries, key=lambda entry: entry["per_second"]) for name, entries in found.items()}


def _claimed(url: str, claim: Callable[[int], bool]) -> Mapping[str, float]:
    """Let all claimers empty the queue: claims a second, times, and how many transactions were rolled back a claim."""
    before, began = _rolled_back(url), time.perf_counter()

    def work(number: int) -> list[float]:
        taken = [time.perf_counter()]
        while claim(number):
            taken.append(time.perf_counter())
        return [(after - since) * 1000 for since, after in itertools.pairwise(taken)]

    with ThreadPoolExecutor(_CLAIMERS) as pool:
        taken = [one for several in pool.map(work, range(_CLAIMERS)) for one in several]
    seconds = time.perf_counter() - began
    if len(taken) != _QUEUED:
        raise measure.Failed(f"{len(taken)} of {_QUEUED} runs were claimed")
    return {
        "per_second": len(taken) / seconds, "p50_ms": client.share(taken, 0.5), "p99_ms": client.share(taken, 0.99),
        "repeated": (_rolled_back(url) - before) / len(taken),
    }  # fmt: skip


def _rolled_back(url: str) -> int:
    time.sleep(1.2)  # the server counts once a second
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    one, two = (", ".join(f"{s:.1f}" for s in answer["seconds"][hosts]) for hosts in (1, 2))
    lines = [
        f"{answer['runs']} runs of {_SECONDS:g} s: {one} s with one host of {SLOTS} slots, {two} s with two: "
        f"{answer['grown']:.2f} × (aim {answer['aim']:g})",
        *(
            f"{name:>12}: {found['per_second']:6.0f} claims a second by {_CLAIMERS}, p50 {found['p50_ms']:.1f} ms, "
            f"p99 {found['p99_ms']:.0f} ms, {found['repeated']:.2f} repetitions a claim"
            for name, found in answer["claims"].items()
        ),
    ]
    return "\n".join(lines)
