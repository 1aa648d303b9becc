"""How soon does a service answer, is it ready, is a file checked and are 1 000 rows run, against a bare framework?

The floor is an interpreter that imports Litestar and Granian and answers one route. Each form is started in turn, as a
process of its own over an empty folder; the best by the clock and the least CPU of its processes count.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import measure, orders, server
from benchmarks.options import Options

_ROOT = Path(__file__).resolve().parent.parent.parent
_DEADLINE = 60.0
_LOOK = 0.002  # seconds between two looks at a port
ROWS = 1_000
AIMS = {"health": 0.8, "ready": 1.3, "validate": 0.35, "run": 1.2}
"""Seconds on two idle cores, for people; the ratios to the floor hold on any machine."""
FLOOR = """
import asyncio, sys
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, get

@get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}

asyncio.run(Server(Litestar([health]), port=int(sys.argv[1]), interface=Interfaces.ASGINL).serve())
"""
_DOCUMENT = """name: orders
collectors: [{type: csv, file_path: orders-1000.csv}]
processors:
  - {type: cleaner, config: {drop_duplicates: true}}
  - {type: analyzer}
"""


@contextmanager
def _started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, *command], cwd=_ROOT, env=os.environ | {"PENSTOCK_ADMIN_PASSWORD": "benchmark-password-1"},
        stdout=subprocess.DEVNULL, stderr=(folder / "stderr").open("wb"),
    )  # fmt: skip
    try:
        yield child
    finally:
        child.terminate()
        child.wait(_DEADLINE)


def _answered(child: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Return when ``path`` answers 200."""
    deadline = time.monotonic() + _DEADLINE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if child.poll() is not None or time.monotonic() > deadline:
            raise measure.Failed(f"{path} does not answer 200; the process ended with {child.poll()}")
        time.sleep(_LOOK)


def _spent(child: subprocess.Popen[bytes], began: float) -> measure.Cost:
    return measure.Cost(time.perf_counter() - began, measure.cpu_seconds(child.pid), measure.peak(child.pid))


def _floor(folder: Path) -> dict[str, measure.Cost]:
    port, began = server.free_port(), time.perf_counter()
    with _started(["-c", FLOOR, str(port)], folder) as child:
        _answered(child, port, "/health")
        return {"floor": _spent(child, began)}


def _serve(folder: Path) -> dict[str, measure.Cost]:
    port, began = server.free_port(), time.perf_counter()
    with _started(["-m", "service", "serve", "--port", str(port), "--data-dir", f"{folder}/data"], folder) as child:
        costs = {}
        for name, path in (("health", "/health"), ("ready", "/health/ready")):
            _answered(child, port, path)
            costs[name] = measure.Cost(
                time.perf_counter() - began, measure.cpu_seconds(child.pid), measure.peak(child.pid)
            )
        return costs


def _command(name: str, *more: str) -> Callable[[Path], dict[str, measure.Cost]]:
    def measured(folder: Path) -> dict[str, measure.Cost]:
        file = folder / "orders.yaml"
        file.write_text(_DOCUMENT)
        orders.write_csv(folder / "orders-1000.csv", ROWS)
        words = [word.format(data=folder / "data") for word in more]
        return {name: measure.process("service", [name, str(file), *words])}

    return measured


def ask(options: Options) -> dict[str, Any]:
    """Seconds, CPU seconds and peak MiB of each form, and the ratio of its time to the floor's."""
    forms = [_floor, _serve, _command("validate"), _command("run", "--data-dir", "{data}")]
    found: dict[str, list[measure.Cost]] = {}
    for _ in range(options.repeat):
        for form in forms:
            with tempfile.TemporaryDirectory(prefix="start-", dir=options.folder) as folder:
                for name, cost in form(Path(folder)).items():
                    found.setdefault(name, []).append(cost)
    seconds = {name: min(cost.wall for cost in costs) for name, costs in found.items()}
    cpu = {name: min(cost.cpu for cost in costs) for name, costs in found.items()}
    mib = {name: min(cost.peak_mib for cost in costs) for name, costs in found.items()}
    ratios = {name: seconds[name] / seconds["floor"] for name in AIMS}
    return {"seconds": seconds, "cpu": cpu, "mib": mib, "ratios": ratios}


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    seconds, cpu = answer["seconds"], answer["cpu"]
    mib = answer["mib"]
    lines = [f"floor, a bare framework: {seconds['floor']:.2f} s, {cpu['floor']:.2f} s of CPU, {mib['floor']:.0f} MiB"]
    for name, aim in AIMS.items():
        lines.append(
            f"{name:9} {seconds[name]:5.2f} s (aim {aim}), {cpu[name]:.2f} s of CPU, {mib[name]:.0f} MiB, "
            f"{answer['ratios'][name]:.2f} × the floor"
        )
    return "\n".join(lines)
