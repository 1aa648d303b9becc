"""Requests that schemathesis makes of the OpenAPI document: whatever is asked of any route, no answer is a 5xx.

The examples of each schema and its edges come first; ``SECONDS`` bounds them and what comes to its mind after them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served import CSV, PASSWORD, Served, serving

SECONDS = 120
LEFT_ALONE = "/auth/logout|/api/v1/events$"  # one ends the session that the others use, the other has no end


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(
        tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_RATE_LIMIT_PER_MINUTE="1000000"
    ) as running:
        running.login()
        assert running.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        document = {"name": "orders", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        running.json("POST", "/pipeline/create", status=201, json=document)
        running.json("POST", "/pipeline/orders/execute?wait=60")
        yield running


@pytest.mark.slow
def test_requirement_46_no_request_is_answered_by_a_server_error(served: Served, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.address}/docs/openapi.json"]
    command += [
        "--header",
        f"Authorization: {served.http.headers['Authorization']}",
        "--exclude-path-regex",
        LEFT_ALONE,
    ]
    command += ["--checks", "not_a_server_error", "--continue-on-failure", "--warnings", "off", "--no-color"]
    command += ["--max-examples", "10", "--seed", "1", "--max-time", str(SECONDS), "--request-timeout", "60"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    failed = [line for line in served.err.said if '"request.failed"' in line]
    assert not failed, failed[0]
