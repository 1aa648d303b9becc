"""What do listeners cost that follow one run? CPU and memory of the service with 1 and with 500 of them.

A run collects five pages a second from a local site, each an event. All listen from its start over connections of
their own, in another process, and must have received every event when it ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from benchmarks import measure, server, site
from benchmarks.options import Options

PAGES = 50
_PER_SECOND = 5
_FOLLOWERS = (1, 500)


def ask(options: Options) -> dict[str, Any]:
    """CPU seconds of the service and its worker during the run, and its growth in MiB, by number of listeners."""
    answer: dict[str, Any] = {}
    with server.running(options.folder) as service, site.running() as address:
        for followers in _FOLLOWERS:
            name = f"pages{followers}"
            collector = {
                "type": "api", "endpoint": f"{address}/records", "params": {"pages": PAGES},
                "pagination": {"type": "page", "total_path": "total"}, "requests_per_second": _PER_SECOND,
            }  # fmt: skip
            document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}
            service.call("POST", "/pipeline/create", document)
            before, peak = measure.cpu_seconds(service.pid), measure.peak(service.pid)
            run = service.call("POST", f"/pipeline/{name}/execute?wait=0")["run_id"]
            given = [service.address.rpartition(":")[2], run, service.headers["Authorization"], str(followers)]
            heard = measure.said("benchmarks.questions.run_listeners", given)
            cost = measure.cpu_seconds(service.pid) - before
            answer[str(followers)] = {
                "cpu_seconds": cost, "grown_mib": measure.peak(service.pid) - peak,
                "events": heard["events"], "complete": heard["complete"],
            }  # fmt: skip
    few, many = (answer[str(n)] for n in _FOLLOWERS)
    answer["failed"] = [n for n in map(str, _FOLLOWERS) if answer[n]["complete"] != int(n)]
    answer["times_the_cpu"] = many["cpu_seconds"] / few["cpu_seconds"]
    more = (_FOLLOWERS[1] - _FOLLOWERS[0]) * many["events"]
    answer["cpu_us_an_event_and_listener"] = (many["cpu_seconds"] - few["cpu_seconds"]) / more * 1e6
    return answer


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [
        f"{n:>4} listeners: {answer[str(n)]['cpu_seconds']:.2f} CPU s, {answer[str(n)]['grown_mib']:+.0f} MiB, "
        f"{answer[str(n)]['events']} events"
        for n in _FOLLOWERS
    ]
    lines.append(
        f"{answer['times_the_cpu']:.1f} × the CPU, "
        f"{answer['cpu_us_an_event_and_listener']:.0f} µs an event and listener"
    )
    return "\n".join(lines)


async def _listen(port: int, run: str, authorization: str) -> tuple[int, bool]:
    """Follow a run to its end; answers how many events came, and whether they were all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    ids: list[int] = []
    ended = False
    while line := await reader.readline():
        if line.startswith(b"id: "):
            ids.append(int(line[4:]))
        ended = ended or line == b"event: end\n"
    writer.close()
    return len(ids), ended and ids == list(range(1, len(ids) + 1))


async def _listen_all(port: str, run: str, authorization: str, followers: str) -> dict[str, int]:
    found = await asyncio.gather(*(_listen(int(port), run, authorization) for _ in range(int(followers))))
    return {"events": max(events for events, _ in found), "complete": sum(complete for _, complete in found)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_listen_all(*sys.argv[1:]))))
