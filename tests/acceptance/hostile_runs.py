"""Pipelines of the hostile sample package: made, started and waited for."""

from __future__ import annotations

from typing import Any

from tests.acceptance import documents
from tests.acceptance.served import PATIENCE, Served

EXTENSION = documents.ROOT / "tests" / "acceptance" / "hostile"


def create(served: Served, name: str, how: str, **more: Any) -> None:
    document = {"name": name, "collectors": [{"type": "hostile", "how": how}], **more}
    served.json("POST", "/pipeline/create", status=201, json=document)


def ended(served: Served, run_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """The run when its events have come to their end."""
    with served.http.stream("GET", f"/runs/{run_id}/events", timeout=seconds) as events:
        kinds = [line for line in events.iter_lines() if line.startswith("event: ")]
    assert kinds[-1] == "event: end"
    run: dict[str, Any] = served.json("GET", f"/runs/{run_id}")
    return run


def start(served: Served, name: str) -> str:
    run_id: str = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)["run_id"]
    return run_id
