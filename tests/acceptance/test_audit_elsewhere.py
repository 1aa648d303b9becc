"""Who did what at one process is in the audit log of all, also after a kill, and any of them finds what was changed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.served import Served

pytestmark = pytest.mark.services


def audit(served: Served, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.json("GET", f"/audit?limit=1000{query}")["items"]
    return found


def create(served: Served, name: str) -> None:
    user = {"username": name, "password": "a password of some length", "role": "viewer"}
    served.json("POST", "/users", status=201, json=user)


def test_every_process_reads_the_events_of_all(start: Installation, tmp_path: Path) -> None:
    processes = [start(name, 0) for name in ("one", "two", "three")]
    for number, served in enumerate(processes):
        create(served, f"user{number}")
    processes[1].json("POST", "/query", json={"sql": "SELECT 1"})
    os.kill(processes[2].process.pid, signal.SIGKILL)  # its event was committed before the answer
    processes[2].ended()
    one, two = processes[:2]
    assert [event["object"] for event in audit(one, "&action=user")] == ["user2", "user1", "user0"]
    assert len(audit(two, "&action=auth.login")) == 3
    asked = audit(two, "&action=query")
    assert [event["outcome"] for event in asked] == ["ok"]
    assert {event["action"] for event in audit(one)} >= {"auth.login", "user.create", "query.run"}
    times = [event["time"] for event in audit(one)]
    assert times == sorted(times, reverse=True)
    assert not [*(tmp_path / "one" / "audit").glob("*.ndjson")]
    assert two.json("POST", "/admin/verify")["findings"] == []
    with psycopg.connect(start.environment["PENSTOCK_CATALOG_URL"], autocommit=True) as connection:
        connection.execute("UPDATE penstock.audit_lines SET line = replace(line, 'user2', 'user9')")
    found = two.json("POST", "/admin/verify")["findings"]
    assert [finding["kind"] for finding in found] == ["tampered"]
    assert "was changed" in found[0]["message"]
