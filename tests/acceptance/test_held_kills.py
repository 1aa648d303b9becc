"""SIGKILL of the service at each step of a hold and of a decision: the next start finds it done, or not begun."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.dying import DECISION_POINTS, POINTS
from tests.acceptance.served import PASSWORD, Served, serving, staged
from tests.examples import mostly_slow

DONE = {
    "after the commit",
    "after the acceptance",
    "after the manifest",
    "after the rejection",
    "after the folder is gone",
}
QUICK = {"after the acceptance", "after the rejection"}  # the others are slow together


class House:
    """One data directory, with one pipeline, under one service after another."""

    def __init__(self, data: Path) -> None:
        self.data, self.order = data, data.parent / "die"
        self._around = ExitStack()
        self.served = self._started()
        self.put(10)
        document = {
            "name": "shop", "collectors": [{"type": "csv", "file_path": "shop.csv"}],
            "storage": [{"type": "parquet"}], "publish_if": {"max_row_drop_share": 0.2},
        }  # fmt: skip
        self.served.json("POST", "/pipeline/create", status=201, json=document)
        self.execute()
        self.published = self.newest = 1

    def _started(self) -> Served:
        environment = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "ORDER_TO_DIE": str(self.order)}
        served = self._around.enter_context(serving(self.data, module="tests.acceptance.dying", **environment))
        served.login()
        return served

    def put(self, rows: int) -> None:
        text = "id\n" + "".join(f"{n}\n" for n in range(rows))
        self.served.http.put("/files/shop.csv", content=text.encode())

    def execute(self) -> dict[str, Any]:
        run: dict[str, Any] = self.served.json("POST", "/pipeline/shop/execute?wait=30")
        return run

    def dies(self, point: str, path: str) -> None:
        """Let the service die at a point of the request, and start the next one."""
        self.order.write_text(point)
        with contextlib.suppress(httpx.HTTPError):
            self.served.http.post(path)
        assert self.served.ended() == -signal.SIGKILL
        self.close()
        self.order.unlink()
        self.served = self._started()

    def close(self) -> None:
        self._around.close()

    def versions(self) -> dict[int, str]:
        return {v["version"]: v["state"] for v in self.served.json("GET", "/pipeline/shop/versions")["items"]}

    def hold(self) -> int:
        """A held version, which the next one replaces if it is rejected."""
        self.put(1)
        run = self.execute()
        assert run["status"] == "held", run
        return int(run["version"])

    def check(self) -> None:
        """What must always hold: all readers agree about the newest version, and nothing is left over."""
        versions = self.versions()
        newest = max(n for n, state in versions.items() if state == "published")
        folder = self.data / "warehouse" / "shop"
        assert (folder / "current").readlink().name == f"v{newest:06d}"
        assert {p.name for p in folder.iterdir() if not p.is_symlink()} == {f"v{n:06d}" for n in versions}
        assert not staged(self.data)
        assert not (self.data / "warehouse" / ".orphaned").exists()
        for number, state in versions.items():
            text = (folder / f"v{number:06d}" / "manifest.json").read_text()
            assert ('"held": true' in text) is (state == "held")
        assert self.served.json("GET", "/pipeline/shop/data")["version"] == newest


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("held-kills") / "data")
    try:
        yield house
    finally:
        house.close()


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS[:4])
def test_a_kill_while_a_run_is_held(point: str, house: House) -> None:
    before = house.versions()
    house.put(2)
    house.dies(point, "/pipeline/shop/execute?wait=30")
    house.check()
    after = house.versions()
    added = {number: state for number, state in after.items() if number not in before}
    assert list(added.values()) == (["held"] if point in DONE else [])
    run = house.served.json("GET", "/pipeline/shop/runs?limit=1")["items"][0]
    assert run["status"] == ("held" if point in DONE else "interrupted")
    assert bool(run["held_because"]) is (point in DONE)


@pytest.mark.parametrize("point", mostly_slow(DECISION_POINTS, QUICK))
def test_a_kill_in_a_decision(point: str, house: House) -> None:
    number, how = house.hold(), "accept" if point in DECISION_POINTS[:3] else "reject"
    before = house.versions()
    house.dies(point, f"/pipeline/shop/versions/{number}/{how}")
    house.check()
    after = house.versions()
    done = point in DONE
    assert {n: s for n, s in after.items() if n != number} == {n: s for n, s in before.items() if n != number}
    expected = {"accept": "published", "reject": None}[how] if done else "held"
    assert after.get(number) == expected
    if not done:
        answer = house.served.http.post(f"/pipeline/shop/versions/{number}/{how}")
        assert answer.status_code == (200 if how == "accept" else 204)
    house.check()
    house.put(20 + number)
    run = house.execute()
    assert (run["status"], run["version"]) == ("completed", number + 1)
    house.check()
