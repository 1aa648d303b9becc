"""A client of the service that keeps its connection, one a thread; the service's tree is looked at from outside."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.server import Service


class Client:
    """Calls over one kept connection."""

    def __init__(self, service: Service) -> None:
        host, _, port = service.address.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=600)
        self._headers = service.headers

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; an error answer is raised as ``measure.Failed``."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", data, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise measure.Failed(f"{method} {path}: {answer.status} {content.decode()[:2000]}")
        return json.loads(content)

    def lines(self, path: str) -> list[dict[str, Any]]:
        """An answer of one JSON document a line."""
        self._connection.request("GET", f"/api/v1{path}", None, self._headers)
        return [json.loads(line) for line in self._connection.getresponse().read().splitlines()]


def share(values: list[float], part: float) -> float:
    """The quantile ``part`` of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def held(pid: int) -> dict[str, int]:
    """Threads, open files and private memory (MiB) of a process, and the number of processes below it."""
    folder = Path(f"/proc/{pid}")
    rollup = (folder / "smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return {
        "threads": len(list((folder / "task").iterdir())), "files": len(list((folder / "fd").iterdir())),
        "private_mib": private // 1024, "processes": len(measure.tree(pid)) - 1,
    }  # fmt: skip


def idle_mib(pid: int) -> float:
    """The proportional memory of a process tree, in MiB: pages that forked processes share count once."""
    total = 0
    for one in measure.tree(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024
