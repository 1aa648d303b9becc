"""Damaged files and lost catalogs under a real service: never other rows than were stored, and never silence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import (
    PASSWORD,
    PATIENCE,
    Served,
    children_of,
    listening,
    loaded,
    serving,
    upload_and_create,
)
from tests.examples import mostly_slow

ADMIN = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
UMASKS = [(0o000, None), (0o022, None), (0o022, str(os.getgid()))]
COUNT = {"sql": "SELECT count(*) AS n, min(city) AS first FROM cities"}


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def filled(served: Served, *storages: str) -> Path:
    """A pipeline with one version; answers its folder."""
    if "authorization" not in served.http.headers:
        served.login()
    upload_and_create(served, storage=[{"type": kind} for kind in storages])
    assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
    return served.data / "warehouse" / "cities" / "v000001"


def penstock(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *arguments, "--data-dir", str(data)]
    env = service.clean_environment(PYTHONPATH=str(documents.ROOT))
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("how", mostly_slow(["flipped", "truncated", "missing"], ["flipped"]))
def test_requirement_22_a_damaged_part_is_never_served(tmp_path: Path, how: str) -> None:
    with serving(tmp_path / "data", **ADMIN) as served:
        part = filled(served, "parquet") / "part-00000.parquet"
        assert served.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
        if how == "flipped":
            flip(part)
        elif how == "truncated":
            os.truncate(part, part.stat().st_size - 1)
        else:
            part.unlink()
        for method, path, body in (
            ("POST", "/query", COUNT),
            ("GET", "/pipeline/cities/data", None),
            ("GET", "/pipeline/cities/data?format=parquet", None),
        ):
            error = served.json(method, path, json=body, status=500)["error"]
            assert error["code"] == "DATA_CORRUPT"
            assert (error["details"]["pipeline"], error["details"]["version"]) == ("cities", 1)
            assert "version 1 of 'cities'" in error["message"]
        ready = served.json("GET", f"{served.address}/health/ready", status=503)
        assert ready["checks"]["data"] == "damaged: cities@1"
        assert served.json("POST", "/query", json={"sql": "SELECT 1 AS one"})["data"] == [{"one": 1}]
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 2
        assert served.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
        served.log()
    found = penstock(served.data, "verify", "--deep")
    assert found.returncode == 1
    assert "damaged: warehouse/cities/v000001: part-00000.parquet" in found.stdout


def test_a_damaged_fit_record_is_never_applied(empty: Served) -> None:
    """Nor is it a reason to refuse the rows, or the names of the tables."""
    folder = filled(empty, "parquet")
    apply = {"records": [{"id": 7, "city": "Oslo"}]}
    assert empty.json("POST", "/pipeline/cities/apply", json=apply)["data"] == [{"id": 7, "city": "Oslo"}]
    flip(folder / "tape.json")
    error = empty.json("POST", "/pipeline/cities/apply", json=apply, status=500)["error"]
    assert (error["code"], error["details"]["version"]) == ("DATA_CORRUPT", 1)
    assert empty.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
    assert empty.json("POST", "/query", json={"sql": "SHOW TABLES"})["data"] == [{"name": "cities"}]


def test_a_folder_in_the_place_of_the_next_version_is_moved_aside(empty: Served) -> None:
    """A person copied a version while the service ran; nothing of it is deleted, and the next run has its place."""
    folder = filled(empty, "parquet")
    shutil.copytree(folder, folder.with_name("v000002"))
    (folder.with_name("v000002") / "mine.txt").write_text("mine")
    empty.http.put("/files/cities.csv", content=b"id,city\n7,Oslo\n")  # equal rows would make no version
    assert empty.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 2
    aside = empty.data / "warehouse" / ".orphaned" / "cities" / "v000002"
    assert (aside / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "command", [["verify"], ["verify", "--adopt"], ["list"], ["log", "cities"], ["query", "SELECT 1"]]
)
def test_commands_make_no_data_directory(tmp_path: Path, command: list[str]) -> None:
    answer = penstock(tmp_path / "typo", *command)
    assert (answer.returncode, "there is no data directory" in answer.stderr) == (3, True), answer.stderr
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_a_damaged_native_table_is_built_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **ADMIN) as served:
        native = filled(served, "parquet", "duckdb") / "cities.duckdb"
        assert loaded(served)
        before = native.stat().st_ino
        flip(native)
        assert served.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
        served.until_logged(lambda line: line["event"] == "native.damaged")
        served.until_logged(lambda line: line["event"] == "native.loaded" and bool(line.get("run_id")))
        assert loaded(served)
        assert native.stat().st_ino != before
        assert served.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
        assert served.http.get(f"{served.address}/health/ready").status_code == 200


@pytest.mark.slow
def test_a_killed_load_is_tried_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **ADMIN) as served:
        folder = filled(served, "parquet", "duckdb")
        assert loaded(served)
        (folder / "cities.duckdb").unlink()
        before = set(children_of(served.process.pid))
        deadline, killed = time.monotonic() + PATIENCE, False
        served.json("POST", "/query", json=COUNT)  # notices that the file is missing
        while not killed and time.monotonic() < deadline:
            for pid in set(children_of(served.process.pid)) - before:
                if (Path(f"/proc/{pid}/oom_score_adj").exists()) and any(folder.glob(".tmp-*")):
                    os.kill(pid, signal.SIGKILL)
                    killed = True
        assert loaded(served)
        assert (folder / "cities.duckdb").exists()
        assert not any(folder.glob(".tmp-*"))


@pytest.mark.slow
def test_a_lost_catalog_is_taken_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, **ADMIN) as served:
        folder = filled(served, "parquet")
        served.log()
    for left in data.glob("catalog.duckdb*"):
        left.unlink()
    with listening(data, **ADMIN) as served:
        served.login()
        assert (
            "penstock verify --adopt"
            in served.json("GET", f"{served.address}/health/ready", status=503)["checks"]["data"]
        )
        assert folder.is_dir()
        assert any(line["event"] == "catalog.missing" and line["level"] == "error" for line in served.log())
    listed = penstock(data, "verify")
    assert (listed.returncode, "unknown: warehouse/cities/v000001" in listed.stdout) == (1, True)
    assert "damaged: catalog.duckdb: the catalog is missing" in listed.stdout
    adopted = penstock(data, "verify", "--adopt")
    assert (adopted.returncode, "adopted: warehouse/cities/v000001" in adopted.stdout) == (0, True)
    with serving(data, **ADMIN) as served:
        served.login()
        assert served.json("POST", "/query", json=COUNT)["data"] == [{"n": 3, "first": "Bern"}]
        again = served.json("POST", "/pipeline/cities/execute?wait=30")
        assert (again["version"], again["unchanged"]) == (1, True)


def test_an_empty_catalog_can_be_accepted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, **ADMIN) as served:
        filled(served, "parquet")
        served.log()
    for left in data.glob("catalog.duckdb*"):
        left.unlink()
    with serving(data, PENSTOCK_ACCEPT_EMPTY_CATALOG="1", **ADMIN) as served:
        assert (data / "warehouse" / ".orphaned" / "cities" / "v000001" / "part-00000.parquet").exists()
        assert any(line["event"] == "folder.orphaned" for line in served.log())


@pytest.mark.parametrize(("umask", "group"), mostly_slow(UMASKS, UMASKS[::2]))
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int, group: str | None) -> None:
    settings: dict[str, str] = {**ADMIN, **({"PENSTOCK_DATA_GROUP": group} if group else {})}
    before = os.umask(umask)
    try:
        with serving(tmp_path / "data", **settings) as served:
            folder = filled(served, "parquet", "duckdb")
            assert loaded(served)
            modes = {path: path.stat().st_mode & 0o777 for path in [served.data, *served.data.rglob("*")]}
    finally:
        os.umask(before)
    assert modes[served.data] == (0o710 if group else 0o700)
    assert modes[served.data / "catalog.duckdb"] == modes[served.data / "secret.key"] == 0o600
    assert modes[folder] == modes[folder.parent] == modes[served.data / "warehouse"] == (0o750 if group else 0o700)
    assert modes[folder / "part-00000.parquet"] == modes[folder / "cities.duckdb"] == (0o440 if group else 0o400)
    private = {p: m for p, m in modes.items() if not p.is_symlink() and "warehouse" not in p.parts}
    assert not {p: oct(m) for p, m in private.items() if p != served.data and m & 0o077}


@pytest.mark.parametrize("name", mostly_slow(["[x]", "a*", "b?"], ["[x]"]))
def test_a_data_directory_that_reads_as_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    answer = penstock(tmp_path / name, "serve", "--port", "0")
    assert answer.returncode == 2
    assert "data_dir" in answer.stderr
    assert not (tmp_path / name).exists()


def test_a_purge_while_the_native_table_loads_is_clean(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **ADMIN) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "parquet"}, {"type": "duckdb"}])
        for _ in range(3):
            served.json("POST", "/pipeline/cities/execute?wait=30")
            assert served.http.delete("/pipeline/cities?purge=true").status_code in (200, 204)
            assert not (served.data / "warehouse" / "cities").exists()
            upload_and_create(served, storage=[{"type": "parquet"}, {"type": "duckdb"}])
        lines = served.log()
    assert not [line for line in lines if line["level"] in ("error", "critical")]
