"""Do 64 clients of all kinds get answers while one user saturates his share? Reads, SQL, runs, exports, slow readers.

Of 64 clients 24 are of one user who sends SQL without a pause: 12 what takes seconds of both cores, 12 what is answered
from memory and takes the service itself. Of others, 16 read light routes (status, lists, a page), 8 send point queries,
8 download the whole version, 4 run a pipeline, and 4 read a download at 1 kB a second.
Right are 2xx, 304, 409 PIPELINE_RUNNING, 429 and 503; the light routes of others have a p99 under 100 ms, their
queries under 500 ms; the memory of the service does not grow. ``--seconds`` is the length of the load.
"""

from __future__ import annotations

import json
import tempfile
import threading
from typing import Any

from benchmarks import client, load, measure, orders, server
from benchmarks.options import Options

_ROWS = 200_000
_PASSWORD = "benchmark-password-2"
_HEAVY = "SELECT count(*) AS n FROM orders, range(200) WHERE random() > 0.9"  # what depends on chance is never kept
_QUICK = "SELECT count(*) AS n FROM orders"
_POINT = "SELECT * FROM orders WHERE order_id = {}"
_EXPECTED = {"RATE_LIMITED", "OVERLOADED", "PIPELINE_RUNNING"}
_SAMPLES = 40


def ask(options: Options) -> dict[str, Any]:
    """Statuses and quantiles of each kind of client, and the memory of the service over time."""
    with server.running(options.folder) as service:
        path = orders.write_csv(options.folder / f"orders-{_ROWS}.csv", _ROWS)
        service.call("POST", "/pipeline/create", orders.pipeline("orders", path.name, native=True))
        service.execute("orders")
        service.settle("orders")
        small = orders.write_csv(options.folder / "orders-1000.csv", 1_000)
        for number in range(4):
            service.call("POST", "/pipeline/create", orders.pipeline(f"small{number}", small.name, native=False))
        clients = _clients(service)
        stop, memory = threading.Event(), []

        def look() -> None:
            while not stop.wait(options.seconds / _SAMPLES):
                memory.append((client.idle_mib(service.pid), _resident(service.pid)))

        watching = threading.Thread(target=look)
        watching.start()
        order = {"address": service.address, "seconds": options.seconds, "clients": clients}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(order, file)
            file.flush()
            seen: dict[str, Any] = measure.said("benchmarks.mixed_load", [file.name])
        stop.set()
        watching.join()
        alive = service.call("GET", "/pipeline")["total"] == 5
    return _answer(options, seen, memory, alive=alive)


def _answer(
    options: Options, seen: dict[str, Any], memory: list[tuple[float, float]], *, alive: bool
) -> dict[str, Any]:
    kinds = {}
    for kind, found in seen.items():
        times = found.pop("seconds")
        kinds[kind] = found | {
            f"p{part * 100:g}": client.share(times, part) for part in (0.5, 0.99) if times
        }  # fmt: skip
    wrong = sorted({code for found in kinds.values() for code in found["codes"]} - _EXPECTED)
    third = max(len(memory) // 3, 1)
    service = [resident for _, resident in memory]
    return {
        "seconds": options.seconds, "kinds": kinds, "unexpected": wrong, "tree_mib": [round(t) for t, _ in memory],
        "service_mib": [round(s) for s in service],
        "growth_mib": sum(service[-third:]) / third - sum(service[third : 2 * third]) / third,
        "failed": bool(wrong) or not alive,
    }  # fmt: skip


def _resident(pid: int) -> float:
    """The private memory of one process, in MiB."""
    return float(client.held(pid)["private_mib"])


def _clients(service: server.Service) -> list[dict[str, Any]]:
    users = {name: _user(service, name, role) for name, role in (
        ("greedy", "viewer"), ("ann", "viewer"), ("bob", "viewer"), ("runner", "operator"), ("slow", "viewer"),
        ("exporter", "viewer"),
    )}  # fmt: skip

    def get(user: str, path: str) -> str:
        return load.request(service.address, "GET", path, users[user])

    def sql(user: str, text: str) -> str:
        body = json.dumps({"sql": text}).encode()
        return load.request(service.address, "POST", "/api/v1/query", users[user], body)

    orders_path = "/api/v1/pipeline/orders"
    light = [f"{orders_path}/status", "/health", "/api/v1/pipeline", f"{orders_path}/versions", "/api/v1/auth/me"]
    reads = [*light, f"{orders_path}/data?limit=20"]
    made = [("heavy SQL", 12, 0.0, [sql("greedy", _HEAVY)]), ("quick SQL", 12, 0.0, [sql("greedy", _QUICK)])]
    made += [("light", 8, 0.2, [get(user, path) for path in light]) for user in ("ann", "bob")]
    made += [("pages", 2, 0.2, [get(user, path) for path in reads]) for user in ("ann", "bob")]
    points = [1_000_000 + 7919 * number % _ROWS for number in range(200)]
    made += [("point SQL", 4, 0.2, [sql(user, _POINT.format(key)) for key in points]) for user in ("ann", "bob")]
    formats = ("ndjson", "csv", "arrow", "parquet")
    made += [("exports", 8, 1.0, [get("exporter", f"{orders_path}/data?format={form}") for form in formats])]
    runs = [
        load.request(service.address, "POST", f"/api/v1/pipeline/small{n}/execute?wait=60", users["runner"])
        for n in range(4)
    ]  # fmt: skip
    made += [("runs", 4, 0.5, runs)]
    clients = [
        {"kind": kind, "pause": pause, "requests": requests} for kind, count, pause, requests in made
        for _ in range(count)
    ]  # fmt: skip
    slow = {"kind": "slow readers", "pause": 0.0, "rate": 1000}
    clients += [slow | {"requests": [get("slow", f"{orders_path}/data?format=ndjson")]} for _ in range(4)]
    return clients


def _user(service: server.Service, name: str, role: str) -> dict[str, str]:
    service.call("POST", "/users", {"username": name, "password": _PASSWORD, "role": role})
    tokens = service.call("POST", "/auth/token", {"username": name, "password": _PASSWORD})
    return {"Content-Type": "application/json", "Authorization": f"Bearer {tokens['access_token']}"}


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [f"{answer['seconds']:g} s; unexpected answers: {', '.join(answer['unexpected']) or 'none'}"]
    for kind, found in answer["kinds"].items():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(found["statuses"].items()))
        codes = ", ".join(f"{code}: {count}" for code, count in found["codes"].items())
        times = ", ".join(f"{p} {found[p] * 1000:.0f} ms" for p in ("p50", "p99") if p in found)
        lines.append(f"{kind:12} {statuses} {f'({codes}) ' if codes else ''}broken {found['broken']}; {times}")
    lines.append(f"service, MiB over time: {answer['service_mib']}; from the 2nd to the 3rd third "
                 f"{answer['growth_mib']:+.0f}")  # fmt: skip
    lines.append(f"all processes, MiB over time: {answer['tree_mib']}")
    return "\n".join(lines)
