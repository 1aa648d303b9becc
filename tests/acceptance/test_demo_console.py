"""``penstock demo --serve``: from an empty directory to a page that is signed in, and the same data the second time."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx

from tests.acceptance.demo_service import demo
from tests.acceptance.served import PATIENCE


def test_the_console_opens_on_the_same_data_each_time(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        answer = first.sign_in()
        assert answer.status_code == 200, answer.text
        access = answer.json()["access_token"]
        assert first.sign_in().status_code == 401
        (shop,) = first.get("/overview", access)["items"]
        assert (shop["name"], shop["status"], shop["rows"]) == ("shop", "completed", 4920)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(PATIENCE) == 0
        assert "Traceback" not in "".join(first.err.all())
        assert first.token not in "".join(first.err.said)
    with demo(tmp_path) as second:
        assert second.token != first.token
        access = second.sign_in().json()["access_token"]
        assert len(second.get("/pipeline/shop/versions", access)["items"]) == 1
        assert second.get("/overview", access)["total"] == 1
        ran = httpx.post(  # the shop is still there
            f"{second.address}/api/v1/pipeline/shop/execute?wait=30",
            headers={"authorization": f"Bearer {access}"}, timeout=PATIENCE, trust_env=False,
        )  # fmt: skip
        assert ran.json()["status"] == "completed", ran.text
