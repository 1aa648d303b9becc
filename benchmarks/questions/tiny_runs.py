"""How many tiny runs does the service complete in a second? 1,000 rows of CSV to Parquet and DuckDB, for a minute.

Each client owns a pipeline: it writes new rows, executes, and waits for the end. Every run must commit a version with a
native table. The floor is the same work by hand in one warm process: read, write Parquet, load DuckDB, flush, rename;
nothing is surveyed, confined or recorded.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import client, measure, orders, server
from benchmarks.client import Client
from benchmarks.options import Options

ROWS = 1_000
RUNS = 1_200
CLIENTS = 8
AIM = 20.0  # runs a second


def _change(source: Path, text: bytes, number: int) -> None:
    """Rows that no run has seen: the first one is repeated with another key."""
    lines = text.splitlines(keepends=True)
    source.write_bytes(text + lines[-1].replace(lines[-1].split(b",")[0], str(9_000_000 + number).encode(), 1))


def _simple(name: str) -> dict[str, Any]:
    return {"name": name, "collectors": [{"type": "csv", "file_path": f"{name}.csv"}]}


def ask(options: Options) -> dict[str, Any]:
    """Runs a second, the latency of a run, CPU a run, what the service holds before and after, and the floor."""
    text = orders.write_csv(options.folder / f"orders-{ROWS}.csv", ROWS).read_bytes().replace(b'",\nand', b'", and')
    floor = measure.said("benchmarks.contestants.tiny_run", [str(options.folder), str(ROWS)])
    names = [f"tiny{number}" for number in range(CLIENTS)]
    with server.running(options.folder) as service:
        for name in names:
            _change(options.folder / f"{name}.csv", text, 0)
            service.call("POST", "/pipeline/create", _simple(name))
            service.execute(name)
        time.sleep(2)  # what a start leaves to do is done
        idle = client.idle_mib(service.pid)
        before, cpu, began = client.held(service.pid), measure.cpu_seconds(service.pid), time.perf_counter()

        def work(name: str) -> list[float]:
            calls, taken = Client(service), []
            for number in range(1, RUNS // CLIENTS + 1):
                _change(options.folder / f"{name}.csv", text, number)
                started = time.perf_counter()
                run = calls.call("POST", f"/pipeline/{name}/execute?wait=60")
                taken.append((time.perf_counter() - started) * 1000)
                forms = [form["state"] for form in run["storage"]]
                if run["status"] != "completed" or run["version"] != number + 1 or forms != ["ready", "ready"]:
                    raise measure.Failed(f"{name}, run {number}: {run['status']}, {forms}, {run['error']}")
            return taken

        with ThreadPoolExecutor(CLIENTS) as pool:
            taken = [one for several in pool.map(work, names) for one in several]
        seconds = time.perf_counter() - began
        cpu = measure.cpu_seconds(service.pid) - cpu
        after = client.held(service.pid)
    rate = len(taken) / seconds
    return {
        "runs": len(taken), "seconds": seconds, "runs_per_second": rate, "aim": AIM, "met": rate >= AIM,
        "cpu_ms": cpu / len(taken) * 1000, "p50_ms": client.share(taken, 0.5), "p99_ms": client.share(taken, 0.99),
        "floor_cpu_ms": floor["cpu_ms"], "floor_wall_ms": floor["wall_ms"], "idle_mib": idle,
        "before": before, "after": after,
    }  # fmt: skip


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    return (
        f"{answer['runs']} runs in {answer['seconds']:.0f} s: {answer['runs_per_second']:.1f} a second (aim "
        f"{answer['aim']:.0f}), p50 {answer['p50_ms']:.0f} ms, p99 {answer['p99_ms']:.0f} ms\n"
        f"CPU a run {answer['cpu_ms']:.0f} ms; by hand in one warm process {answer['floor_cpu_ms']:.0f} ms "
        f"(ratio {answer['cpu_ms'] / answer['floor_cpu_ms']:.1f})\n"
        f"idle {answer['idle_mib']:.0f} MiB (Pss of the tree); before {answer['before']}, after {answer['after']}"
    )
