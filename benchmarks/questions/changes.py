"""What does a change cost? One per cent appended to, or merged into, a stored version, beside the run that made it.

A CSV of ``--rows`` rows is stored by the mode ``append`` and by the mode ``merge`` (by ``order_id``); then one per cent
is added as new rows, as a stretch of known keys, and as keys from all over. Each in Parquet alone and with the DuckDB
table, whose load after the commit counts, too. Times are those of the run over the time of the first run; bytes are
those of new files, and of the changed blocks of a native file that the next version has taken over, over the bytes
that the rows of the change take in the first version.
"""

from __future__ import annotations

import shutil
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import server
from benchmarks.options import Options

_BLOCK = 256 * 1024
"""What DuckDB writes at once."""
CHANGES = {"append": ["new"], "merge": ["new", "clustered", "random"]}


def _change(kind: str, rows: int) -> pl.DataFrame:
    """One per cent of the rows, as text: keys behind the last one, in the middle, or spread."""
    count = max(rows // 100, 1)
    if kind == "random":
        return pl.DataFrame({"place": pl.int_range(rows, eager=True).sample(count, seed=1).sort()})
    first = rows if kind == "new" else rows // 2
    return pl.DataFrame({"place": pl.int_range(first, first + count, eager=True)})


def _frame(places: pl.DataFrame, salt: int) -> pl.DataFrame:
    """Rows of twelve columns: the key, five texts and six numbers that follow from the key and ``salt``."""
    key = pl.col("place")
    texts = [(key.hash(salt + n) % 1000 * (n + 1)).cast(pl.String).alias(f"text{n}") for n in range(5)]
    numbers = [((key.hash(salt + 10 + n) % 1_000_000) / 100).alias(f"number{n}") for n in range(6)]
    return places.select(key.alias("order_id"), *texts, *numbers)


def _new_bytes(folder: Path, suffix: str, known: set[int]) -> int:
    files = [path.stat() for path in folder.rglob(f"*{suffix}") if not path.name.startswith("quarantine")]
    return sum(f.st_size for f in files if f.st_ino not in known)


def _changed_bytes(folder: Path, copy: Path, inode: int) -> int:
    """The bytes of a native file that were written: those that differ from ``copy`` if it is the file of ``inode``."""
    (path,) = folder.glob("*.duckdb")
    if path.stat().st_ino != inode:
        return path.stat().st_size
    with path.open("rb") as now, copy.open("rb") as before:
        pairs = zip_longest(iter(lambda: now.read(_BLOCK), b""), iter(lambda: before.read(_BLOCK), b""))
        return sum(len(block or b"") for block, earlier in pairs if block != earlier)


def _measured(service: server.Service, name: str, *, native: bool, warehouse: Path) -> dict[str, Any]:
    known = {path.stat().st_ino for path in warehouse.rglob("*.parquet")}
    copy, inode = service.data.parent / "native.copy", 0
    for path in (warehouse / name).rglob("*.duckdb"):
        inode = path.stat().st_ino
        shutil.copyfile(path, copy)
    began = time.perf_counter()
    run = service.execute(name)
    if native:
        service.settle(name)
    took = time.perf_counter() - began
    folder = warehouse / name / f"v{run['version']:06d}"
    size = _new_bytes(folder, ".parquet", known) + (_changed_bytes(folder, copy, inode) if native else 0)
    return {"seconds": took, "bytes": size, "rows": run["rows_stored"]}


def ask(options: Options) -> dict[str, Any]:
    """By mode, storage and change: seconds and bytes, and their ratios to the first run and to the change."""
    table: dict[str, Any] = {}
    uploads = options.folder / "changes"
    uploads.mkdir(parents=True, exist_ok=True)
    with server.running(uploads) as service:
        warehouse = service.data / "warehouse"
        for native in (False, True):
            for mode, changes in CHANGES.items():
                name = f"{mode}_{'duckdb' if native else 'parquet'}"
                key = {"key": "order_id"} if mode == "merge" else {}
                storage: list[dict[str, Any]] = [{"type": "parquet", "mode": mode, **key}]
                document = {
                    "name": name, "collectors": [{"type": "csv", "file_path": "rows.csv"}],
                    "storage": storage + ([{"type": "duckdb"}] if native else []),
                }  # fmt: skip
                service.call("POST", "/pipeline/create", document)
                every = pl.DataFrame({"place": pl.int_range(options.rows, eager=True)})
                _frame(every, 1).write_csv(uploads / "rows.csv")
                first = table[f"{name} first"] = _measured(service, name, native=native, warehouse=warehouse)
                share = first["bytes"] * max(options.rows // 100, 1) / options.rows
                for number, kind in enumerate(changes):
                    _frame(_change(kind, options.rows), number + 2).write_csv(uploads / "rows.csv")
                    cost = table[f"{name} {kind}"] = _measured(service, name, native=native, warehouse=warehouse)
                    cost["time_ratio"] = cost["seconds"] / first["seconds"]
                    cost["bytes_ratio"] = cost["bytes"] / share
    return {"rows": options.rows, "changes": table}


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [f"{answer['rows']:,} rows, changes of 1 %"]
    for name, cost in answer["changes"].items():
        ratios = ""
        if "time_ratio" in cost:
            ratios = f"  {cost['time_ratio']:6.3f} x time {cost['bytes_ratio']:7.2f} x bytes"
        lines.append(f"{name:24} {cost['seconds']:8.2f} s {cost['bytes'] / 1e6:9.1f} MB{ratios}")
    return "\n".join(lines)
