"""Collectors that read objects in a bucket: runs, previews and plans, what is refused, and what never shows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.files.object_store import ObjectStore
from tests import object_stores
from tests.acceptance.served import PASSWORD, Served, serving

Servers = Callable[[str], Mapping[str, str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with object_stores.servers() as found:
        yield found


@pytest.fixture(params=object_stores.KINDS)
def bucket(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ObjectStore, dict[str, str]]]:
    """The URL of a folder in a bucket, its store, and the environment of a service that may read it."""
    environment = dict(servers(request.param))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = f"{request.param}://{object_stores.BUCKET}/{tmp_path.name}"
    store = ObjectStore(url, seconds=10)
    yield url, store, {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, **environment, "PENSTOCK_FILE_ROOTS": f"{url}/in"}
    store.close()


def configuration(collector: dict[str, Any], name: str = "cities") -> dict[str, Any]:
    return {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}


def stored(served: Served, collector: dict[str, Any], name: str) -> list[dict[str, Any]]:
    served.json("POST", "/pipeline/create", status=201, json=configuration(collector, name))
    run = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    assert run["status"] == "completed", run
    rows: list[dict[str, Any]] = served.json("GET", f"/pipeline/{name}/data")["data"]
    return rows


def test_objects_are_collected_as_files_are(bucket: tuple[str, ObjectStore, dict[str, str]], tmp_path: Path) -> None:
    url, store, environment = bucket
    parquet = io.BytesIO()
    pl.DataFrame({"id": [1, 2], "city": ["Bern", "Rome"]}).write_parquet(parquet)
    store.put("in/year=2026/a.csv", b"id,city\n1,Bern\n")
    store.put("in/year=2027/a.csv", b"id,city\n2,Rome\n")
    store.put("in/a.jsonl", b'{"id":1,"city":"Bern"}\n{"id":2,"city":"Rome"}\n')
    store.put("in/a.parquet", parquet.getvalue())
    rows = [{"id": 1, "city": "Bern"}, {"id": 2, "city": "Rome"}]
    with serving(tmp_path / "data", **environment) as served:
        served.login()
        csv = {"type": "csv", "file_path": f"{url}/in/*/*.csv", "filename": True, "hive_partitioning": True}
        assert stored(served, csv, "from_csv") == [
            {**row, "year": year, "filename": f"{url}/in/year={year}/a.csv"}
            for row, year in zip(rows, (2026, 2027), strict=True)
        ]
        assert stored(served, {"type": "json", "file_path": f"{url}/in/*.jsonl"}, "from_json") == rows
        assert stored(served, {"type": "parquet", "file_path": f"{url}/in/a.parquet"}, "from_parquet") == rows
        sample = served.json("POST", "/pipeline/preview", json=configuration(csv))
        assert [row["city"] for row in sample["data"]] == ["Bern", "Rome"]
        plan = served.json("POST", "/pipeline/plan", json=configuration(csv))
        assert plan["sources"][0]["fetch"]["files"][0] == {"name": f"{url}/in/year=2026/a.csv", "bytes": 15}
        assert not list((tmp_path / "data").rglob(".objects"))  # no copy is left
        said = (tmp_path / "data.log").read_text() if (tmp_path / "data.log").exists() else ""
    for value in ("the-secret-key", "AKIATEST"):
        assert value not in said


def test_what_the_operator_did_not_allow_is_refused(
    bucket: tuple[str, ObjectStore, dict[str, str]], tmp_path: Path
) -> None:
    url, store, environment = bucket
    store.put("other/a.csv", b"id\n1\n")
    with serving(tmp_path / "data", **environment) as served:
        served.login()
        for name, text in (
            (f"{url}/other/a.csv", "PENSTOCK_FILE_ROOTS"), ("s3://elsewhere/a.csv", "PENSTOCK_FILE_ROOTS"),
            ("s3://key:secret@elsewhere/a.csv", "without credentials"),
        ):  # fmt: skip
            document = configuration({"type": "csv", "file_path": name})
            for path in ("create", "validate", "preview", "plan"):
                error = served.json("POST", f"/pipeline/{path}", status=400, json=document)["error"]
                assert text in error["message"], error
                assert (error["details"]["field"], "secret@" in str(error)) == ("collectors[0].file_path", False)
        missing = configuration({"type": "csv", "file_path": f"{url}/in/none.csv"})
        served.json("POST", "/pipeline/create", status=201, json=missing)
        run = served.json("POST", "/pipeline/cities/execute?wait=60")
        assert (run["status"], "there is no object" in run["error"]["message"]) == ("failed", True)
