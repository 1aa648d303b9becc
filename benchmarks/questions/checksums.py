"""What does checking a version's files add to a warm point query?

A real service answers point queries over a version of the orders job, one after another over one kept connection; the
CPU of its whole process tree counts. The check that each query makes (size and remembered checksum of every file of
the version) is measured alone, on the same files, in this process: the first one, which hashes, and warm ones.
"""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

from benchmarks import measure, orders, server
from benchmarks.options import Options
from service.files import layout
from service.files.checksums import Checksums

_QUERIES = 100
_CHECKS = 20_000
_FIRST_ID = 1_000_000


def ask(options: Options) -> dict[str, Any]:
    """CPU milliseconds of a point query and of a check, and the share of the check."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    with server.running(source.parent) as service:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", source.name, native=False))
        service.execute("orders")
        folder = service.data / "warehouse" / "orders" / "v000001"
        first, warm, faults = _check(folder)
        query = min(_point_query(service, options.rows) for _ in range(options.repeat))
    return {
        "rows": options.rows,
        "query_ms": query,
        "first_check_ms": first,
        "check_ms": warm,
        "share": warm / query,
        "contestants": {"checked": {"differs": faults}},
    }


def _check(folder: Path) -> tuple[float, float, list[str]]:
    """CPU milliseconds of the first and of a warm check of the files of a version, and what was wrong with them."""
    files = json.loads((folder / layout.MANIFEST).read_bytes())["files"]
    checksums = Checksums()

    def check() -> list[str | None]:
        return [checksums.fault(folder / file["name"], file["bytes"], file["sha256"]) for file in files]

    began = time.process_time()
    faults = [fault for fault in check() if fault is not None]
    hashed = time.process_time()
    for _ in range(_CHECKS):
        check()
    return (hashed - began) * 1000, (time.process_time() - hashed) * 1000 / _CHECKS, faults


def _point_query(service: server.Service, rows: int) -> float:
    """CPU milliseconds of the service's processes for a query of one row, when its worker is warm."""
    connection = http.client.HTTPConnection("127.0.0.1", int(service.address.rpartition(":")[2]), timeout=60)

    def ask_for(number: int) -> None:
        text = f"SELECT * FROM orders WHERE order_id = {_FIRST_ID + number * 7919 % rows}"
        connection.request("POST", "/api/v1/query", json.dumps({"sql": text}), service.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise measure.Failed(f"{text}: {answer.status} {body[:500]!r}")

    for number in range(20):
        ask_for(number)
    began = measure.cpu_seconds(service.pid)
    for number in range(_QUERIES):
        ask_for(number)
    return (measure.cpu_seconds(service.pid) - began) * 1000 / _QUERIES


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    return (
        f"a warm point query takes {answer['query_ms']:.2f} ms of CPU, its check {answer['check_ms'] * 1000:.1f} us: "
        f"{answer['share']:.2%}; the first check of a process {answer['first_check_ms']:.1f} ms"
    )
