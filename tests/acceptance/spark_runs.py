"""Runs on a Spark cluster that tests disturb: dirty orders, and a gate that holds their rows on the executors."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.acceptance import documents
from tests.acceptance.served import PASSWORD, Served, children_of, serving

GATED = documents.ROOT / "tests" / "acceptance" / "gated"
PATH = f"{documents.ROOT}:{GATED}"
"""What executors import besides their environment, too."""


LONG = 300.0  # seconds that anything may take on a busy machine, where a job of Spark takes twenty


class Gate:
    """The gate of one pipeline; ``where`` says what waits."""

    def __init__(self, folder: Path, where: str = "rows") -> None:
        self.folder, self.where = folder, where
        folder.mkdir()

    @property
    def step(self) -> dict[str, Any]:
        return {"type": "gate", "config": {"folder": str(self.folder), "where": self.where}}

    def open(self) -> None:
        (self.folder / "open").touch()

    @property
    def waiting(self) -> list[Path]:
        return list(self.folder.glob("waiting-*"))

    def last_sign(self) -> float:
        """When something that waits showed itself last, as a time of the clock."""
        return max((path.stat().st_mtime for path in self.waiting), default=0.0)

    def until_waiting(self) -> None:
        until_true(lambda: bool(self.waiting), "something waits at the gate")


def until_true(there: Any, what: str, seconds: float = LONG) -> None:
    """Look until it is so; nobody sends an event about another process."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@contextlib.contextmanager
def service(data: Path, url: str, **environment: str) -> Iterator[Served]:
    """A service with the gate, logged in."""
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_SPARK_URL": url, **environment}
    with serving(data, path=PATH, **settings) as served:
        served.login()
        yield served


def csv(first: int, rows: int) -> str:
    """Dirty orders: repeated ids, junk and missing prices, two formats of dates, a malformed row."""
    chance = random.Random(first)
    lines = ["id,price,city,day"]
    for number in range(first, first + rows):
        price = chance.choice([f"{chance.gauss(50, 20):.2f}"] * 9 + ["", "n/a", "junk"])
        day = chance.choice(["2024-02-29", "31.01.2024", ""])
        lines.append(f"{number - number % 7 % 2},{price},{chance.choice(['Bern', ' Rome', 'Üri', ''])},{day}")
    lines.insert(9, "too,few")
    return "\n".join(lines) + "\n"


def document(name: str, engine: str, gate: Gate | None = None, **execution: Any) -> dict[str, Any]:
    """A pipeline over the files, with every kind of operation; the gate is behind its first step."""
    cleaner = {
        "strip_strings": True, "null_values": ["n/a"], "cast": {
            "price": "float64", "day": {"type": "date", "format": ["%Y-%m-%d", "%d.%m.%Y"]},
        },
        "drop_duplicates": {"columns": ["id"]}, "fill_na": {"price": {"strategy": "median"}},
    }  # fmt: skip
    transformer = {
        "normalize": {"price": {"method": "standard", "into": "z"}}, "encode": {"city": "onehot"},
        "bin": {"price": {"method": "quantile", "bins": 4, "into": "quarter"}}, "sort": ["-price", "id"],
    }  # fmt: skip
    rules = [{"column": "price", "check": "in_range", "min": 10}]
    gates = [gate.step] if gate is not None else []
    return {
        "name": name,
        "collectors": [{"type": "csv", "file_path": "orders-*.csv", "on_malformed": "quarantine", "schema": {
            "price": "string", "day": "string",
        }}],
        "processors": [
            *gates,
            {"type": "cleaner", "config": cleaner},
            {"type": "validator", "config": {"rules": rules, "on_fail": "quarantine"}},
            {"type": "transformer", "config": transformer},
            {"type": "analyzer", "config": {}},
        ],
        "execution": {"engine": engine, **execution},
    }  # fmt: skip


def upload(served: Served, files: int = 3, rows: int = 400) -> None:
    for number in range(files):
        text = csv(number * 1000, rows)
        assert served.http.put(f"/files/orders-{number}.csv", content=text.encode()).status_code in (200, 201)


def create(served: Served, document: dict[str, Any]) -> None:
    served.json("POST", "/pipeline/create", status=201, json=document)


def begin(served: Served, name: str) -> str:
    run_id: str = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)["run_id"]
    return run_id


def end_of(served: Served, run_id: str, seconds: float = LONG) -> Any:
    """The run when it has ended."""
    until_true(lambda: served.json("GET", f"/runs/{run_id}")["end_time"], "the run ends", seconds)
    return served.json("GET", f"/runs/{run_id}")


def completed(served: Served, name: str, seconds: float = LONG) -> Any:
    run = end_of(served, begin(served, name), seconds)
    assert run["status"] == "completed", run["error"]
    return run


def worker_of(served: Served) -> int:
    """The process of the run that is going: it alone has loaded the client of Spark."""
    found = [pid for pid in children_of(served.process.pid) if "cygrpc" in _maps(pid)]
    assert len(found) == 1, found
    return found[0]


def _maps(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


def without(value: Any, *names: str) -> Any:
    if isinstance(value, dict):
        return {k: without(v, *names) for k, v in value.items() if k not in names}
    return [without(v, *names) for v in value] if isinstance(value, list) else value


def approximate(value: Any) -> Any:
    """The value with floats that equal those nearby."""
    if isinstance(value, dict):
        return {k: approximate(v) for k, v in value.items()}
    if isinstance(value, list):
        return [approximate(v) for v in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


def rows_of(served: Served, name: str) -> pl.DataFrame:
    """The rows of the newest version, from its files."""
    newest = max((served.data / "warehouse" / name).glob("v*"))
    return pl.concat([pl.read_parquet(part) for part in sorted(newest.glob("part-*.parquet"))])


def assert_same_version(served: Served, local: str, remote: str) -> None:
    """Both pipelines made the same rows, profile, quarantine and schema, and the same answers of ``/apply``."""
    rows = rows_of(served, local)
    assert rows.height > 0
    assert_frame_equal(rows_of(served, remote), rows, rel_tol=1e-9, abs_tol=1e-12)
    ignored = ("pipeline", "name", "run_id", "created", "time", "storage", "processors")
    for route in ("profile", "quarantine", "schema"):
        here, there = (served.json("GET", f"/pipeline/{name}/{route}") for name in (local, remote))
        assert without(there, *ignored) == approximate(without(here, *ignored)), route
    record = {"id": 1, "price": "70.5", "city": "Bern ", "day": "31.01.2024"}
    applied = [served.json("POST", f"/pipeline/{name}/apply", json={"records": [record]}) for name in (local, remote)]
    assert without(applied[1], "pipeline") == approximate(without(applied[0], "pipeline"))


def attempts_until(served: Served, run_id: str, status: str) -> Any:
    """The run when its status is that."""
    until_true(lambda: served.json("GET", f"/runs/{run_id}")["status"] == status, f"the run is {status}")
    return served.json("GET", f"/runs/{run_id}")
