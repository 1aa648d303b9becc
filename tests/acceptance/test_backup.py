"""Backups of a real service: made while it works, killed at every step, and restored to one that answers the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import documents, service
from tests.acceptance.dying_backup import POINTS
from tests.acceptance.served import PASSWORD, PATIENCE, Served, loaded, serving, staged, upload_and_create
from tests.acceptance.shell import Shell
from tests.examples import mostly_slow

MIB = 1 << 20
ADMIN = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
ROWS = {"sql": "SELECT count(*) AS n, sum(id) AS s, min(city) AS first FROM cities"}


def penstock(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *arguments]
    env = service.clean_environment(PYTHONPATH=str(documents.ROOT), **environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)


def restore(place: Path, target: Path) -> dict[str, Any]:
    answer = penstock("restore", str(place), "--data-dir", str(target), "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def back_up(served: Served, place: Path, status: int = 200) -> dict[str, Any]:
    found: dict[str, Any] = served.json("POST", "/admin/backup", status=status, json={"directory": str(place)})
    return found


def whole(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if not p.name.startswith("."))


def execute(served: Served, rows: int = 3) -> int:
    """Run the pipeline over so many rows; the number of its version. The same rows twice are no new version."""
    content = "id,city\n" + "".join(f"{n},Bern\n" for n in range(rows))
    assert served.http.put("/files/cities.csv", content=content.encode()).status_code == 200
    run = served.json("POST", "/pipeline/cities/execute?wait=60")
    assert run["status"] == "completed", run
    return int(run["version"])


@pytest.mark.slow
def test_a_restored_service_answers_the_same(tmp_path: Path) -> None:
    """Versions, accounts, tokens and native tables are there; a second backup shares what did not change."""
    data, place, target = tmp_path / "data", tmp_path / "backups", tmp_path / "new"
    with serving(data, **ADMIN) as served:
        pair = served.login()
        upload_and_create(served, storage=[{"type": "parquet"}, {"type": "duckdb"}])
        assert execute(served) == 1
        assert loaded(served)
        first = back_up(served, place)
        assert (first["directory"], first["versions"], first["shared_bytes"]) == (str(place), 1, 0)
        assert execute(served, 4) == 2
        assert loaded(served)
        url = penstock("backup", str(place), "--url", served.address, PENSTOCK_TOKEN=pair["access_token"])
        assert (url.returncode, "backed up 2 versions" in url.stdout) == (0, True), url.stdout + url.stderr
        beside = penstock("backup", str(tmp_path / "other"), "--data-dir", str(data))
        assert (beside.returncode, "backed up 2 versions" in beside.stdout) == (0, True), beside.stderr
        rows = served.json("POST", "/query", json=ROWS)["data"]
        served.log()
    older, newer = whole(place)
    inodes = [{p.stat().st_ino for p in f.rglob("*") if p.is_file()} for f in (older, newer, data)]
    assert inodes[0] & inodes[1]
    assert not (inodes[0] | inodes[1]) & inodes[2]
    assert restore(place, target)["versions"] == 2
    again = penstock("restore", str(place), "--data-dir", str(target))
    assert (again.returncode, "not empty" in again.stderr) == (4, True)
    with serving(target, **ADMIN) as served:
        served.http.headers["authorization"] = f"Bearer {pair['access_token']}"
        assert served.json("POST", "/query", json=ROWS)["data"] == rows
        served.login()
        assert (target / "warehouse" / "cities" / "v000002" / "cities.duckdb").exists()
        assert served.json("GET", "/pipeline/cities/versions")["total"] == 2
        assert served.http.get("/files").json()["items"][0]["path"] == "cities.csv"
        assert execute(served, 5) == 3
    offline = penstock("backup", str(place), "--data-dir", str(target), "--json")
    assert json.loads(offline.stdout)["versions"] == 3, offline.stderr
    verified = penstock("verify", "--deep", "--data-dir", str(target))
    assert verified.returncode == 0, verified.stdout
    damaged = next(whole(place)[-1].rglob("part-00000.parquet"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    refused = penstock("restore", str(place), "--data-dir", str(tmp_path / "never"))
    assert (refused.returncode, "part-00000.parquet has another checksum" in refused.stderr) == (1, True)
    assert not (tmp_path / "never").exists()


@pytest.mark.slow
def test_backups_while_runs_commit_and_pipelines_are_purged(tmp_path: Path) -> None:
    """Every backup has whole versions only: as many as the catalog in it says, and they verify."""
    place, stop, failures = tmp_path / "backups", threading.Event(), []
    with serving(tmp_path / "data", PENSTOCK_RATE_LIMIT_PER_MINUTE="100000", **ADMIN) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "parquet"}])
        execute(served)

        def work() -> None:
            with httpx.Client(base_url=served.http.base_url, headers=served.http.headers, timeout=PATIENCE) as http:
                rows = 3
                while not stop.is_set():
                    rows += 1
                    content = "id,city\n" + "".join(f"{n},Bern\n" for n in range(rows))
                    document = {"name": "brief", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
                    for answer in (
                        http.put("/files/cities.csv", content=content.encode()),
                        http.post("/pipeline/create", json=document),
                        http.post("/pipeline/brief/execute?wait=60"),
                        http.post("/pipeline/cities/execute?wait=60"),
                        http.delete("/pipeline/brief?purge=true"),
                    ):
                        if answer.status_code >= 300:
                            failures.append(answer.text)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            reports = [back_up(served, place) for _ in range(6)]
        finally:
            stop.set()
            worker.join(PATIENCE)
        served.log()
    assert not failures
    for folder, report in zip(whole(place), reports, strict=True):
        assert restore(folder, tmp_path / folder.name)["versions"] == report["versions"]
    assert reports[-1]["versions"] > reports[0]["versions"]
    assert not any((tmp_path / "data" / "warehouse" / ".staging").iterdir())


class House:
    """A data directory with one version and a backup, under one service that dies in a backup after another."""

    def __init__(self, root: Path) -> None:
        self.root, self.data, self.place, self.order = root, root / "data", root / "backups", root / "die"
        self._around = ExitStack()
        self.served = self._started()

    def _started(self) -> Served:
        environment = {"ORDER_TO_DIE": str(self.order), **ADMIN}
        served = self._around.enter_context(serving(self.data, module="tests.acceptance.dying_backup", **environment))
        served.login()
        return served

    def again(self) -> None:
        """Start anew, with no order to die."""
        self.close()
        self.order.unlink()
        self.served = self._started()

    def close(self) -> None:
        self._around.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("backup"))
    try:
        upload_and_create(house.served, storage=[{"type": "parquet"}])
        execute(house.served)
        back_up(house.served, house.place)
        yield house
    finally:
        house.close()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(tmp_path_factory.mktemp("shell")) as shell:
        yield shell


@pytest.mark.parametrize("point", mostly_slow(POINTS, POINTS[::4]))
def test_a_kill_during_a_backup(point: str, house: House, shell: Shell) -> None:
    """The earlier backups stay whole, the interrupted one is not there (or whole), and the next one works."""

    def typed(*words: str) -> dict[str, Any]:
        answer = shell.run(*words, "--json", folder=house.root)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    place = house.place
    before = whole(place)
    house.order.write_text(point)
    with pytest.raises(httpx.HTTPError):
        back_up(house.served, place)
    assert house.served.ended() == -signal.SIGKILL
    after = whole(place)
    assert len(after) - len(before) == (point == POINTS[-1])
    new = str(house.root / f"new-{POINTS.index(point)}")
    assert typed("restore", str(place), "--data-dir", new)["backup"] == str(after[-1])
    assert any(p.name.startswith(".partial-") for p in place.iterdir()) == (point != POINTS[-1])
    house.again()
    assert staged(house.data) == []
    assert back_up(house.served, place)["shared_bytes"] > 0
    assert len(whole(place)) == len(after) + 1
    assert not any(p.name.startswith(".") for p in place.iterdir())
    if point == POINTS[-1]:
        typed("verify", "--deep", "--data-dir", str(house.data))


def test_a_full_disk_fails_the_backup_and_leaves_the_earlier_one(tmp_path: Path) -> None:
    """The service of ``small_disk`` sees a disk of 16 MiB at ``backups``, through its own mount namespace."""
    place = tmp_path / "backups"
    settings = {**ADMIN, "SMALL_DISK": str(16 * MIB), "SMALL_DISK_AT": str(place)}
    with serving(tmp_path / "data", module="tests.acceptance.small_disk", **settings) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "parquet"}])
        execute(served)
        back_up(served, place)
        assert served.http.put("/files/noise", content=os.urandom(20 * MIB)).status_code == 201
        error = back_up(served, place, status=507)["error"]
        assert (error["code"], str(place) in error["message"]) == ("STORAGE_FULL", True)
        assert served.http.delete("/files/noise").status_code in (200, 204)
        assert back_up(served, place)["shared_bytes"] > 0
        assert execute(served, 4) == 2
