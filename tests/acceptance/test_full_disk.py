"""A disk that is full: every step says STORAGE_FULL and what to do, runs end, and space makes it work again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served import PASSWORD, Served, serving

MIB = 1 << 20
DOCUMENT = {
    "name": "rows",
    "collectors": [{"type": "csv", "file_path": "rows.csv"}],
    "storage": [{"type": "parquet", "compression": "none"}],
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "SMALL_DISK": str(24 * MIB)}
    with serving(tmp_path / "data", module="tests.acceptance.small_disk", **settings) as served:
        served.login()
        rows = "".join(f"{n},some text of row {n}\n" for n in range(100_000))
        assert served.http.put("/files/rows.csv", content=f"id,text\n{rows}".encode()).status_code == 201
        served.json("POST", "/pipeline/create", status=201, json=DOCUMENT)
        yield served


def fill(served: Served, least: int) -> list[str]:
    """Upload files until not even ``least`` bytes fit; their names."""
    names: list[str] = []
    size = 8 * MIB
    while size >= least:
        name = f"fill-{len(names)}"
        answer = served.http.put(f"/files/{name}", content=bytes(size))
        if answer.status_code == 201:
            names.append(name)
            continue
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "STORAGE_FULL"), answer.text
        assert "free space" in answer.json()["error"]["message"]
        size //= 2
    return names


@pytest.mark.parametrize("least", [2 * MIB, 4096])
def test_a_run_on_a_full_disk_says_so_and_ends(served: Served, least: int) -> None:
    names = fill(served, least)
    answer = served.http.post("/pipeline/rows/execute?wait=60")
    found = answer.json()
    if answer.status_code == 507:  # not even the run could be stored
        assert found["error"]["code"] == "STORAGE_FULL"
    else:
        assert (found["status"], found["error"]["code"]) == ("failed", "STORAGE_FULL"), found
        assert "PENSTOCK_DATA_DIR" in found["error"]["message"]
    if least < MIB:
        preview = served.http.post("/pipeline/preview", json=DOCUMENT)
        assert preview.status_code in (200, 507), preview.text
    for name in names:
        assert served.http.delete(f"/files/{name}").status_code in (200, 204)
    run = served.json("POST", "/pipeline/rows/execute?wait=60")
    assert (run["status"], run["rows_stored"]) == ("completed", 100_000)


def test_a_service_on_a_full_disk_stops(served: Served) -> None:
    fill(served, 4096)
    served.http.post("/pipeline/rows/execute?wait=0")
    served.process.terminate()
    assert served.ended() == 0
