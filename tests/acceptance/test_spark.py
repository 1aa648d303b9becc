"""The Spark engine on a running service: the same pipeline makes the same version on Polars and on a Sail server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests import sail
from tests.acceptance.served import PASSWORD, Served, serving

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("spark")
    with sail.server(folder) as url, serving(
        folder / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_SPARK_URL=url
    ) as served:  # fmt: skip
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


def document(name: str, engine: str) -> dict[str, Any]:
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
    return {
        "name": name,
        "collectors": [{"type": "csv", "file_path": "orders-*.csv", "on_malformed": "quarantine", "schema": {
            "price": "string", "day": "string",
        }}],
        "processors": [
            {"type": "cleaner", "config": cleaner},
            {"type": "validator", "config": {"rules": rules, "on_fail": "quarantine"}},
            {"type": "transformer", "config": transformer},
            {"type": "analyzer", "config": {}},
        ],
        "execution": {"engine": engine},
    }  # fmt: skip


def upload(served: Served, name: str, text: str) -> None:
    assert served.http.put(f"/files/{name}", content=text.encode()).status_code in (200, 201)


def executed(served: Served, name: str) -> dict[str, Any]:
    """A run of the pipeline that has ended, however long it took."""
    with served.client() as client:
        run = client.execute(name, progress=False, check=False)
    ended: dict[str, Any] = served.json("GET", f"/runs/{run.run_id}")
    return ended


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


def test_the_same_version_comes_from_both_engines(served: Served) -> None:
    for number in range(3):
        upload(served, f"orders-{number}.csv", csv(number * 1000, 400))
    warnings = []
    for name in ("polars", "spark"):
        served.json("POST", "/pipeline/create", status=201, json=document(name, name))
        run = executed(served, name)
        assert run["status"] == "completed", run["error"]
        warnings.append(run["warnings"])
    assert warnings[1] == warnings[0] != []
    rows = {
        name: pl.read_parquet(next((served.data / "warehouse" / name).glob("v*/part-*.parquet")))
        for name in ("polars", "spark")
    }
    assert rows["polars"].height > 600
    assert_frame_equal(rows["spark"], rows["polars"], rel_tol=1e-9, abs_tol=1e-12)
    for route in ("profile", "quarantine", "schema"):
        local, remote = (served.json("GET", f"/pipeline/{name}/{route}") for name in ("polars", "spark"))
        ignored = ("pipeline", "name", "run_id", "created", "time", "storage")
        assert without(remote, *ignored) == approximate(without(local, *ignored)), route
    record = {"id": 1, "price": "70.5", "city": "Bern ", "day": "31.01.2024"}
    applied = [
        served.json("POST", f"/pipeline/{name}/apply", json={"records": [record]}) for name in ("polars", "spark")
    ]
    assert without(applied[1], "pipeline") == approximate(without(applied[0], "pipeline"))


MODES: dict[str, dict[str, Any]] = {
    "appended": {"mode": "append"},
    "merged": {"mode": "merge", "key": "id", "full": True, "on_delete": "remove"},
    "arranged": {"partition_by": ["quarter"], "cluster_by": "price"},
}


@pytest.mark.parametrize("how", MODES)
def test_versions_that_continue_others_are_alike(served: Served, how: str) -> None:
    made = []
    for engine in ("polars", "spark"):
        name = f"{how}-{engine}"
        body = document(name, engine) | {"storage": [{"type": "parquet", **MODES[how]}]}
        body["collectors"][0] |= {"file_path": "growing.csv"}
        body["publish_if"] = {"max_row_drop_share": 0.5}
        upload(served, "growing.csv", csv(0, 300))
        served.json("POST", "/pipeline/create", status=201, json=body)
        statuses = []
        for first, rows in ((0, 300), (200, 300), (0, 20)):  # the last one is held, where it is all there is
            upload(served, "growing.csv", csv(first, rows))
            statuses.append(executed(served, name)["status"])
        folders = sorted((served.data / "warehouse" / name).glob("v*"))
        files = [
            {str(part.relative_to(folder)): part.read_bytes() for part in folder.rglob("part-*.parquet")}
            for folder in folders
        ]
        profile = served.json("GET", f"/pipeline/{name}/profile")["profiles"]
        made.append((statuses, files, approximate(profile)))
    assert made[1][0] == made[0][0]
    assert "completed" in made[0][0]
    assert made[1][2] == made[0][2]
    stored = [[{n: pl.read_parquet(data) for n, data in version.items()} for version in one[1]] for one in made]
    for local, remote in zip(*stored, strict=True):
        assert list(remote) == list(local)
        for part in local:
            assert_frame_equal(remote[part], local[part], rel_tol=1e-9, abs_tol=1e-12)


def test_what_spark_cannot_do_is_refused_by_validate(served: Served) -> None:
    step = {"type": "sql", "config": {"query": "SELECT 1 AS one FROM input"}}
    body = {**document("refused", "spark"), "processors": [step]}
    found = served.json("POST", "/pipeline/validate", status=400, json=body)["error"]
    assert [e["field"] for e in found["details"]["errors"]] == ["processors[0].type"]
    assert "needs all rows in one place" in found["message"]
