"""What does it take to compare two versions, in times of one scan of both?

Tables of 15 columns of which 1 % of the rows are changed, 1 % gone and 1 % new: in the same order (by key, and by whole
rows) and in another order (``shuffled``, likewise). The service answers the route, its result is compared with what was
made, and one scan of all columns of both versions is measured in the same run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure, server
from benchmarks.options import Options

_WAYS = {
    "key": ("after", "key=id"),
    "rows": ("after", ""),
    "shuffled": ("shuffled", "key=id"),
    "rows shuffled": ("shuffled", ""),
}


def _versions(service: server.Service, name: str, after: str) -> None:
    document: dict[str, Any] = {"name": name, "storage": [{"type": "parquet"}]}
    for number, source in enumerate(("before", after)):
        document["collectors"] = [{"type": "parquet", "file_path": f"{source}.parquet"}]
        if number:
            service.call("PUT", f"/pipeline/{name}/config", document)
        else:
            service.call("POST", "/pipeline/create", document)
        service.execute(name)


def ask(options: Options) -> dict[str, Any]:
    """CPU and wall seconds and the memory of each comparison, and its times of one scan."""
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="diff-", dir=options.folder) as folder:
        measure.said("benchmarks.contestants.version_scan", ["WRITE", folder, str(options.rows)])
        with server.running(Path(folder)) as service:
            for after in ("after", "shuffled"):
                _versions(service, after, after)
            for way, (name, query) in _WAYS.items():
                table[way] = _measure(service, Path(folder), name, query, options.repeat)
    return {"best_of": options.repeat, "contestants": table}


def _measure(service: server.Service, folder: Path, name: str, query: str, repeat: int) -> dict[str, Any]:
    (warehouse,) = folder.glob(f"penstock-bench-*/data/warehouse/{name}")
    entry: dict[str, Any] = {"cpu": 1e9, "wall": 1e9, "scan_cpu": 1e9, "scan_wall": 1e9, "mib": 0.0, "differs": []}
    for _ in range(repeat):
        scan = measure.said("benchmarks.contestants.version_scan", ["SCAN", str(warehouse)])
        with measure.Watch(service.pid) as seen:
            rows = service.call("GET", f"/pipeline/{name}/versions/2/diff?limit=5&{query}")["rows"]
        for kind in ("cpu", "wall"):
            entry[kind] = min(entry[kind], getattr(seen, kind))
            entry[f"scan_{kind}"] = min(entry[f"scan_{kind}"], scan[kind])
        entry["mib"] = max(entry["mib"], seen.worker_mib)
        kept = rows["before"] - rows["removed"]
        if rows["added"] != rows["after"] - kept or rows["changed"] + rows["unchanged"] != kept:
            entry["differs"] = [f"the counts do not add up: {rows}"]
        entry["rows"] = rows
    return entry | {"times": {kind: entry[kind] / entry[f"scan_{kind}"] for kind in ("cpu", "wall")}}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'':14}{'CPU s':>8}{'wall s':>8}{'scan CPU':>10}{'wall':>8}{'times CPU':>11}{'wall':>7}{'MiB':>7}"]
    for way, e in answer["contestants"].items():
        lines.append(
            f"{way:14}{e['cpu']:8.2f}{e['wall']:8.2f}{e['scan_cpu']:10.2f}{e['scan_wall']:8.2f}"
            f"{e['times']['cpu']:11.2f}{e['times']['wall']:7.2f}{e['mib']:7.0f}"
        )
        lines += [f"    {text}" for text in e["differs"]]
    return "\n".join(lines)
