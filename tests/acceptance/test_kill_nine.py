"""SIGKILL of the service at each point of the commit protocol; the next start finds all of a version, or none.

The service that starts after one kill is the one that is killed next: a start is what takes the time here.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.dying import POINTS, TAKEOVER_POINTS
from tests.acceptance.served import PASSWORD, Served, loaded, serving, upload_and_create
from tests.examples import mostly_slow

LARGE = 500_000  # rows: that much has its native table loaded after the commit
QUICK = (POINTS[1], POINTS[3], TAKEOVER_POINTS[1])
COMMITTED = {"after the commit", "before the native table is noted", "after the native table is noted"}


class House:
    """One data directory under one service after another."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.order = data.parent / "die"
        self._around = ExitStack()
        self.served = self._started()

    def _started(self) -> Served:
        environment = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "ORDER_TO_DIE": str(self.order)}
        served = self._around.enter_context(serving(self.data, module="tests.acceptance.dying", **environment))
        served.login()
        return served

    def again(self) -> Served:
        """Start anew, with no order to die."""
        self.close()
        self.order.unlink()
        self.served = self._started()
        return self.served

    def close(self) -> None:
        self._around.close()

    def folders(self) -> set[str]:
        return {p.name for p in (self.data / "warehouse" / "cities").iterdir() if not p.is_symlink()}

    def rows(self) -> Any:
        answer = self.served.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})
        return answer["data"][0]["n"]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With one version of one pipeline."""
    core = House(tmp_path_factory.mktemp("kill") / "data")
    try:
        upload_and_create(core.served, storage=[{"type": "duckdb", "primary_key": "id"}])
        assert core.served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
        assert loaded(core.served)
        yield core
    finally:
        core.close()


@pytest.mark.parametrize("point", mostly_slow(POINTS, QUICK))
def test_requirement_20_a_kill_at_each_step_leaves_a_whole_version_or_none(point: str, core: House) -> None:
    served, folders, rows = core.served, core.folders(), core.rows()
    version = len(folders)
    added = LARGE if "native" in point else 1
    more = "id,city\n" + "".join(f"{n},Oslo\n" for n in range(rows + added))
    served.http.put("/files/cities.csv", content=more.encode())
    core.order.write_text(point)
    try:
        run_id = served.json("POST", "/pipeline/cities/execute?wait=0", status=202)["run_id"]
    except httpx.HTTPError:  # it was quicker than its answer
        run_id = None
    assert served.ended() == -signal.SIGKILL

    served = core.again()
    run = served.json("GET", "/pipeline/cities/runs?limit=1")["items"][0]
    assert run_id in (None, run["run_id"])
    committed = point in COMMITTED
    assert (run["status"], run["version"]) == (("completed", version + 1) if committed else ("interrupted", None))
    assert core.rows() == rows + committed * added
    newest = f"v{version + committed:06d}"
    assert core.folders() == folders | {newest}
    assert not any((core.data / "warehouse" / ".staging").iterdir())
    assert loaded(served)
    assert (core.data / "warehouse" / "cities" / newest / "cities.duckdb").exists()
    again = served.json("POST", "/pipeline/cities/execute?wait=30")
    assert (again["status"], again["version"], again["unchanged"]) == (
        "completed",
        version + 1,
        committed,
    )  # equal rows make none
    assert again["rows_stored"] == rows + added
    assert loaded(served)


@pytest.mark.parametrize("point", mostly_slow(TAKEOVER_POINTS, QUICK))
def test_a_kill_while_the_earlier_native_file_is_taken_over(point: str, core: House) -> None:
    served, name = core.served, f"grown_{TAKEOVER_POINTS.index(point)}"
    upload_and_create(served, name, storage=[{"type": "parquet", "mode": "append"}, {"type": "duckdb"}])
    served.http.put("/files/cities.csv", content=("id,city\n" + "0,Oslo\n" * (LARGE + 1)).encode())
    served.json("POST", f"/pipeline/{name}/execute?wait=30")
    assert loaded(served, name)
    served.http.put("/files/cities.csv", content=b"id,city\n1,Ulm\n")
    core.order.write_text(point)
    with suppress(httpx.HTTPError):
        served.json("POST", f"/pipeline/{name}/execute?wait=30")
    assert served.ended() == -signal.SIGKILL

    served = core.again()
    assert loaded(served, name)
    for version, count in ((1, LARGE + 1), (2, LARGE + 2)):
        sql = f'SELECT count(*) AS n FROM "{name}@{version}"'
        assert served.json("POST", "/query", json={"sql": sql})["data"] == [{"n": count}]
    folder = core.data / "warehouse" / name
    left = [*folder.glob("v*/*.duckdb"), *folder.glob("v*/.*")]
    assert left == [folder / "v000002" / f"{name}.duckdb"]
    assert served.json("POST", "/admin/verify", json={"deep": True})["findings"] == []
