"""Hooks of a real service: signed messages that arrive over failures of the receiver and kills of the service."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hooks import Receiver, receiving
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create
from tests.examples import mostly_slow

SECRET = "a secret of the hook"
PARQUET = [{"type": "parquet"}]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def start(tmp_path: Path, *hosts: str) -> Any:
    """A service whose clock runs sixty times as fast, so that pauses between tries are short."""
    environment = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "DIE": str(tmp_path / "die"), "HURRIED_FACTOR": "60",
        "HURRIED_CLOCK": str(tmp_path / "clock"), "PENSTOCK_SECRET_HOOK": SECRET,
    }  # fmt: skip
    flags = [word for host in hosts for word in ("--allow-private-host", host)]
    return serving(tmp_path / "data", *flags, module="tests.acceptance.hurried", **environment)


def is_signed(body: bytes, header: str | None, secret: str) -> bool:
    assert header is not None
    parts = dict(part.split("=", 1) for part in header.split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])


def listed(served: Served, name: str = "cities") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.json("GET", f"/pipeline/{name}/notifications")["items"]
    return found


@pytest.mark.slow
def test_a_receiver_that_fails_first_gets_the_same_message_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [503, 500]
    hooks = [
        {"url": receiver.address, "events": ["completed"], "secret": "${HOOK}"},
        {"url": receiver.address, "events": ["failed"]},
    ]
    with start(tmp_path, "127.0.0.1") as served:
        served.login()
        upload_and_create(served, notify=hooks, storage=PARQUET)
        run = served.json("POST", "/pipeline/cities/execute?wait=30")
        received = receiver.until(3)
        served.until_logged(lambda line: line.get("event") == "notify.delivered")
        assert len({body for body, _ in received}) == 1
        assert all(is_signed(body, header, SECRET) for body, header in received)
        event = receiver.events()[0]
        assert event.keys() == {"event", "id", "time", "run"}
        assert (event["event"], event["run"]) == ("completed", {**run, "storage": event["run"]["storage"]})
        (delivery,) = listed(served)
        assert (delivery["state"], delivery["tries"], delivery["id"]) == ("delivered", 3, event["id"])
        assert delivery["url"].endswith("?token=***")
        served.http.delete("/files/cities.csv")
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "failed"
        body, header = receiver.until(4)[3]
        assert (json.loads(body)["event"], header) == ("failed", None)
        assert json.loads(body)["run"]["error"]["details"]["step"] == "collectors[0]"
        lines = served.log()
    assert not any(SECRET in json.dumps(line) or "abcdefgh" in json.dumps(line) for line in lines)


def test_a_message_survives_a_kill_and_is_sent_after_it(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500]
    with start(tmp_path, "127.0.0.1") as served:
        served.login()
        upload_and_create(served, notify=[{"url": receiver.address}], storage=PARQUET)
        served.json("POST", "/pipeline/cities/execute?wait=30")
        receiver.until(1)
        served.process.send_signal(signal.SIGKILL)
        served.ended()
    with start(tmp_path, "127.0.0.1") as served:
        served.login()
        receiver.until(2)
        served.until_logged(lambda line: line.get("event") == "notify.delivered")
        assert [one["state"] for one in listed(served)] == ["delivered"]
    assert len({event["id"] for event in receiver.events()}) == 1


def test_hooks_go_only_where_collectors_may(tmp_path: Path, receiver: Receiver) -> None:
    with start(tmp_path) as served:
        served.login()
        hook = {"url": receiver.address, "secret": "literal secret"}
        upload_and_create(served, notify=[hook], storage=PARQUET)
        shown = served.json("GET", "/pipeline/cities/config")["notify"]
        assert shown == [{"url": receiver.address.replace("abcdefgh", "***"), "secret": "***"}]
        refused = served.json("PUT", "/pipeline/cities/config", status=400, json={
            "name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}], "notify": shown,
        })  # fmt: skip
        fields = {problem["field"] for problem in refused["error"]["details"]["errors"]}
        assert fields == {"notify[0].url", "notify[0].secret"}
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "completed"
        served.until_logged(lambda line: line.get("event") == "notify.not_delivered")
        (delivery,) = listed(served)
        assert (delivery["state"], delivery["next_try"] is None) == ("waiting", False)
        assert "is a private address" in delivery["error"]
    assert receiver.got == []


@pytest.mark.parametrize("status", mostly_slow([302, 307], [307]))
def test_a_redirect_does_not_count_as_delivered(tmp_path: Path, receiver: Receiver, status: int) -> None:
    """Followed, a 302 becomes a GET: a web site answers it with 200, and the message would be lost in silence."""
    receiver.answers = [status]
    with start(tmp_path, "127.0.0.1") as served:
        served.login()
        upload_and_create(served, notify=[{"url": receiver.address}], storage=PARQUET)
        served.json("POST", "/pipeline/cities/execute?wait=30")
        lines = served.until_logged(lambda line: line.get("event") == "notify.delivered")
        assert [line["event"] for line in lines if line["event"].startswith("notify.")] == [
            "notify.not_delivered", "notify.delivered",
        ]  # fmt: skip
        (first, _), (again, _) = receiver.until(2)
        assert first == again
