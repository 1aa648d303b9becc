"""A service whose versions are in an object store: what it writes there, and what it reads when nothing is cached."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.files.object_store import ObjectStore
from tests import object_stores
from tests.acceptance.served import PASSWORD, Served, loaded, serving, upload_and_create
from tests.cutting_proxy import CuttingProxy

ADMIN = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
SUM = {"sql": "SELECT count(*) AS n, max(city) AS last FROM cities"}
Servers = Callable[[str], Mapping[str, str]]
Place = tuple[ObjectStore, dict[str, str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with object_stores.servers() as found:
        yield found


@pytest.fixture(
    params=["file", *(pytest.param(name, marks=pytest.mark.services, id=label)
                      for name, label in [("s3", "s3"), ("gs", "gs"), ("az", "azure")])]
)  # fmt: skip
def place(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """An object store, and the environment of a service that uses it."""
    if request.param == "file":
        url, environment = f"file://{tmp_path}/store", dict[str, str]()
    else:
        environment = dict(servers(request.param))
        url = f"{request.param}://{object_stores.BUCKET}/{tmp_path.name}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(url, seconds=10)
    yield store, {**ADMIN, **environment, "PENSTOCK_WAREHOUSE_URL": url}
    store.close()


def forgotten(data: Path) -> None:
    """Remove all that is cached, as if another host read it for the first time."""
    for folder in (data / "warehouse" / "cities").glob("v0*"):
        shutil.rmtree(folder)


def objects(store: ObjectStore) -> list[str]:
    return sorted(one.key for one in store.list())


def newest(store: ObjectStore, name: str = "cities") -> dict[str, Any]:
    return msgspec.json.decode(store.read(f"current/{name}.json")[0], type=dict[str, Any])


def appended(served: Served, rows: str, version: int) -> None:
    assert served.http.put("/files/cities.csv", content=f"id,city\n{rows}".encode()).status_code == 200
    assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == version


def test_versions_are_written_to_the_store_and_read_from_it(place: Place, tmp_path: Path) -> None:
    store, environment = place
    with serving(tmp_path / "data", **environment) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "parquet", "mode": "append"}])
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
        appended(served, "4,Wien\n", 2)
        assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 4, "last": "Wien"}]
        pointer = newest(store)
        manifest = msgspec.json.decode(store.read(pointer["manifest"])[0])
        parts = [file["key"] for file in manifest["files"]]
        # the part of the first version is named again, and not written again
        assert (pointer["version"], [key.split("/")[1].split("-")[0] for key in parts]) == (2, ["v000001", "v000002"])
        for file in manifest["files"]:
            assert hashlib.sha256(store.read(file["key"])[0]).hexdigest() == file["sha256"]
    forgotten(tmp_path / "data")
    with serving(tmp_path / "data", **environment) as served:
        served.login()
        assert served.json("POST", "/query", json={"sql": "SHOW TABLES"})["row_count"] == 1
        assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 4, "last": "Wien"}]
        assert served.http.get("/pipeline/cities/schema?version=1").status_code == 200
        assert len(served.json("GET", "/pipeline/cities/data?version=1")["data"]) == 3
        assert served.http.get("/pipeline/cities/data?format=csv").text.count("\n") == 5
        forgotten(tmp_path / "data")
        appended(served, "5,York\n", 3)  # continues what is fetched for it
        for file in (tmp_path / "data/uploads").iterdir():
            file.unlink()
        assert served.json("GET", "/files")["items"][0]["path"] == "cities.csv"
        shutil.rmtree(tmp_path / "data/uploads")
        (tmp_path / "data/uploads").mkdir()
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["rows_collected"] == 1
        assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 6, "last": "York"}]
        assert newest(store)["version"] == 4


def test_a_native_table_is_fetched_and_not_built_again(place: Place, tmp_path: Path) -> None:
    store, environment = place
    with serving(tmp_path / "data", **environment) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "duckdb"}])
        served.json("POST", "/pipeline/cities/execute?wait=30")
        assert loaded(served)
        native = [key for key in objects(store) if key.endswith(".duckdb")]
        forgotten(tmp_path / "data")
        assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 3, "last": "Rome"}]
        assert (tmp_path / "data/warehouse/cities/v000001/cities.duckdb").is_file()
        assert [key for key in objects(store) if key.endswith(".duckdb")] == native
        assert len(native) == 1


@pytest.mark.services
def test_a_store_that_stands_still_ends_nothing_and_changes_nothing(tmp_path: Path) -> None:
    with object_stores.s3() as server:
        environment = {
            **ADMIN, **object_stores.environment(server.port), "PENSTOCK_WAREHOUSE_TIMEOUT_SECONDS": "1",
            "PENSTOCK_WAREHOUSE_URL": f"s3://{object_stores.BUCKET}/stopped",
        }  # fmt: skip
        execution = {"max_attempts": 20, "retry_delay_seconds": 0.1}
        with serving(tmp_path / "data", **environment) as served:
            served.login()
            upload_and_create(served, execution=execution)
            assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
            server.process.send_signal(signal.SIGSTOP)
            try:
                run = served.json("POST", "/pipeline/cities/execute", status=202)["run_id"]
                served.until_logged(lambda line: line.get("event") == "run.retrying" and line.get("run_id") == run)
                assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 3, "last": "Rome"}]
                error = served.json("PUT", "/files/other.csv", content=b"a\n1\n", status=503)["error"]
                assert error["code"] == "STORE_UNAVAILABLE"
                forgotten(tmp_path / "data")
                error = served.json("POST", "/query", json=SUM, status=503)["error"]
                assert error["code"] == "STORE_UNAVAILABLE"
            finally:
                server.process.send_signal(signal.SIGCONT)
            served.until_logged(lambda line: line.get("event") == "run.unchanged" and line.get("run_id") == run)
            ended = served.json("GET", f"/runs/{run}")
            assert (ended["status"], ended["unchanged"]) == ("completed", True)
            assert served.json("POST", "/query", json=SUM)["data"] == [{"n": 3, "last": "Rome"}]
            assert served.json("POST", "/admin/verify", json={"deep": True})["findings"] == []
            assert "the-secret-key" not in served.err.tail


@pytest.mark.services
def test_the_first_read_of_a_version_begins_with_the_first_part(tmp_path: Path) -> None:
    with object_stores.s3() as server, CuttingProxy(server.port).at_work() as proxy:
        environment = {
            **ADMIN, **object_stores.environment(proxy.port), "PENSTOCK_WAREHOUSE_TIMEOUT_SECONDS": "2",
            "PENSTOCK_WAREHOUSE_URL": f"s3://{object_stores.BUCKET}/streamed",
        }  # fmt: skip
        with serving(tmp_path / "data", **environment) as served:
            served.login()
            upload_and_create(served, storage=[{"type": "parquet", "mode": "append"}])
            assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
            appended(served, "4,Wien\n", 2)
            appended(served, "5,York\n", 3)
            whole = served.http.get("/pipeline/cities/data?format=csv").text
            assert whole.splitlines() == ["id,city", "1,Bern", "2,Rome", "3,", "4,Wien", "5,York"]
            forgotten(tmp_path / "data")
            with proxy.trouble("hang", "GET", r"v000003-.*part-"):
                page = served.json("GET", "/pipeline/cities/data?limit=4")
                assert ([row["id"] for row in page["data"]], page["total_rows"]) == ([1, 2, 3, 4], 5)
                error = served.json("GET", "/pipeline/cities/data?limit=5", status=503)["error"]
                assert error["code"] == "STORE_UNAVAILABLE"
            forgotten(tmp_path / "data")
            with (
                proxy.trouble("slow down", "GET", r"v000003-.*part-", times=2),  # it comes after the others
                served.http.stream("GET", "/pipeline/cities/data?format=csv") as answer,
            ):
                pieces = answer.iter_text()
                began = next(pieces)
                assert whole.startswith(began)
                assert "York" not in began
                assert began + "".join(pieces) == whole
