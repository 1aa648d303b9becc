"""Backups over HTTP: who may make them, what is refused, and what is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from tests.api.conftest import bearer

Client = TestClient[Litestar]
BACKUP = "/api/v1/admin/backup"


def test_a_backup_is_answered_when_it_is_whole(client: Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("backups")
    answer = client.post(BACKUP, json={"directory": str(place)})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["directory"], found["versions"], found["files"], found["shared_bytes"]) == (str(place), 0, 1, 0)
    (folder,) = place.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["backup.json", "catalog.duckdb"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "directory"), ({"directory": 5}, "directory"), ({"directory": ""}, "directory"),
     ({"directory": "backups"}, "directory"), ({"directory": "/tmp/x", "keep": 3}, "keep")],
)  # fmt: skip
def test_wrong_requests_name_the_field(client: Client, body: dict[str, Any], field: str) -> None:
    answer = client.post(BACKUP, json=body)
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field), answer.text


def test_a_directory_inside_the_data_directory_is_refused(client: Client, services: Services) -> None:
    answer = client.post(BACKUP, json={"directory": str(services.layout.uploads / "b")})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "directory")
    assert not any(services.layout.uploads.iterdir())


def test_verification_names_the_folders_that_the_catalog_does_not_know(client: Client, services: Services) -> None:
    services.layout.version("orders", 3).mkdir(parents=True)
    for body in ({}, {"deep": True}):
        found = client.post("/api/v1/admin/verify", json=body).json()
        assert (found["versions"], [f["kind"] for f in found["findings"]]) == (0, ["unknown"])
    assert found["findings"][0]["folder"] == "warehouse/orders/v000003"
    answer = client.post("/api/v1/admin/verify", json={"adopt": True})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "adopt")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_admins_make_backups(anonymous: Client, services: Services, tmp_path: Path, role: str) -> None:
    answer = anonymous.post(BACKUP, json={"directory": "/nowhere"}, headers=bearer(services, role))
    assert answer.status_code == 403
