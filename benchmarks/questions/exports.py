"""How fast does a whole version leave over HTTP, against the same export in one process that writes a file?

The orders job, one stored Parquet file. Product and floor take turns; the best of each counts. The client, which counts
bytes and drops them, shares the cores with the service. Aim: 0.85 of the floor's speed in every format, and the first
byte within 100 ms.
"""

from __future__ import annotations

from typing import Any

from benchmarks import measure, orders, server
from benchmarks.options import Options

FORMATS = ("ndjson", "csv", "arrow", "parquet")
_MEGA = 1_000_000


def ask(options: Options) -> dict[str, Any]:
    """Seconds, CPU seconds and first byte of each format, and the floor's seconds in times of ours."""
    answer: dict[str, Any] = {"rows": options.rows, "formats": {}}
    with server.running(options.folder) as service:
        path = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
        service.call("POST", "/pipeline/create", orders.pipeline("orders", path.name, native=False))
        service.execute("orders")
        (part,) = service.data.glob("warehouse/orders/v000001/part-*.parquet")
        for form in FORMATS:
            ours, floors, cpu = [], [], []
            for _ in range(options.repeat):
                floors.append(
                    measure.said(
                        "benchmarks.contestants.export_floor", [form, str(part), str(options.folder / "export.floor")]
                    )
                )
                before = measure.cpu_seconds(service.pid)
                ours.append(_download(service, form))
                cpu.append(measure.cpu_seconds(service.pid) - before)
            floor, best = min(floors, key=lambda f: f["seconds"]), min(ours, key=lambda f: f["seconds"])
            answer["formats"][form] = {
                "megabytes": best["bytes"] / _MEGA, "seconds": best["seconds"], "cpu": min(cpu),
                "first": min(f["first"] for f in ours), "floor_seconds": floor["seconds"], "floor_cpu": floor["cpu"],
                "speed": floor["seconds"] / best["seconds"],
            }  # fmt: skip
        answer["worker_mib"] = max(measure.peak(pid) for pid in measure.tree(service.pid))
    return answer


def _download(service: server.Service, form: str) -> dict[str, float]:
    path = f"/api/v1/pipeline/orders/data?format={form}"
    arguments = [service.address, path, service.headers["Authorization"]]
    found: dict[str, float] = measure.said("benchmarks.contestants.download", arguments)
    return found


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [f"{answer['rows']} rows; largest process {answer['worker_mib']:.0f} MiB"]
    for form, found in answer["formats"].items():
        lines.append(
            f"{form:8}{found['megabytes']:5.0f} MB  {found['megabytes'] / found['seconds']:5.0f} MB/s  "
            f"{found['speed']:4.2f} x floor ({found['megabytes'] / found['floor_seconds']:.0f} MB/s)  first byte "
            f"{found['first'] * 1000:3.0f} ms  CPU {found['cpu']:.2f} s (floor {found['floor_cpu']:.2f})"
        )
    return "\n".join(lines)
