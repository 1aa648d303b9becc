"""Uploads arrive whole, under their folder, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.files import uploads
from service.kit import errors

Client = TestClient[Litestar]
F = "/api/v1/files"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_upload_list_replace_remove(client: Client, services: Services) -> None:
    data = b"a,b\n1,2\n" * 200_000
    new = client.put(f"{F}/in/2024/orders.csv", content=data)
    assert (new.status_code, new.json()) == (
        201,
        {"path": "in/2024/orders.csv", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
    )
    stored = services.layout.uploads / "in/2024/orders.csv"
    assert stored.read_bytes() == data
    assert client.put(f"{F}/in/2024/orders.csv", content=b"x").status_code == 200
    client.put(f"{F}/Größe 1.csv", content=b"")
    page = client.get(F).json()
    assert [(f["path"], f["bytes"]) for f in page["items"]] == [("Größe 1.csv", 0), ("in/2024/orders.csv", 1)]
    assert client.get(f"{F}?limit=1&offset=1").json()["items"][0]["path"] == "in/2024/orders.csv"
    assert client.delete(f"{F}/in/2024/orders.csv").json() == {"message": "file 'in/2024/orders.csv' removed"}
    assert code(client.delete(f"{F}/in/2024/orders.csv")) == (404, "NOT_FOUND")
    assert not (services.layout.uploads / "in").exists()


HOSTILE = [
    "../x", "a/../../x", "%2e%2e/x", "..%2fx", ".hidden", "a/.b", "a%00b", "a%0ab", "a\\b", "x" * 256, "x" * 300,
    "a/" * 9 + "b", "a:b", "CON|x", "%ef%bf%bd", "a%e2%80%aeb", " ", "a%20/b", "~root", "*", "a.",
]  # fmt: skip


def test_requirement_48_hostile_names(client: Client, services: Services) -> None:
    before = found(services)
    for path in HOSTILE:
        for method in ("PUT", "DELETE"):
            answer = client.request(method, f"{F}/{path}", content=b"x" if method == "PUT" else None)
            assert answer.status_code in (400, 404, 405), (path, answer.text)
    assert found(services) == before


def found(services: Services) -> list[Path]:
    """All that lies in the data directory but the audit log, which tells of refusals, too."""
    return sorted(path for path in services.layout.root.rglob("*") if "audit" not in path.parts)


def test_requirement_48_names_of_devices_are_those_of_plain_files(client: Client, services: Services) -> None:
    for name in ("CON", "nul", "COM1.csv", "dev/null", "proc/self/environ", "etc/passwd"):
        assert client.put(f"{F}/{name}", content=b"x").status_code == 201
        assert (services.layout.uploads / name).read_bytes() == b"x"
    assert client.get(F).json()["total"] == 6


def test_segments() -> None:
    assert uploads.segments("/a/b.csv") == ["a", "b.csv"]
    for path in ("..", "a/../b", "a//b", "", "/", "a\x00", ".a"):
        with pytest.raises(errors.Invalid):
            uploads.segments(path)


def test_links_lead_nowhere(client: Client, services: Services, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (services.layout.uploads / "link").symlink_to(outside)
    (services.layout.uploads / "file").symlink_to(outside / "kept")
    assert code(client.put(f"{F}/link/x", content=b"x"))[0] == 409
    assert code(client.put(f"{F}/file", content=b"x"))[0] == 409
    assert code(client.delete(f"{F}/link/kept")) == (404, "NOT_FOUND")
    assert code(client.delete(f"{F}/file")) == (404, "NOT_FOUND")
    assert client.get(F).json()["total"] == 0
    assert [p.name for p in outside.iterdir()] == ["kept"]


def test_files_and_folders_in_the_way(client: Client) -> None:
    client.put(f"{F}/a/b", content=b"x")
    assert code(client.put(f"{F}/a", content=b"x")) == (409, "FILE_EXISTS")
    assert code(client.put(f"{F}/a/b/c", content=b"x")) == (409, "FILE_EXISTS")
    assert code(client.delete(f"{F}/a")) == (404, "NOT_FOUND")
    assert code(client.delete(f"{F}/a/b/c")) == (404, "NOT_FOUND")


def test_what_is_too_large_leaves_nothing(client: Client, services: Services) -> None:
    blocks = [b"x" * 1_000_000] * 4
    assert code(client.put(f"{F}/big", content=iter(blocks))) == (413, "PAYLOAD_TOO_LARGE")
    assert code(client.put(f"{F}/big", content=b"".join(blocks))) == (413, "PAYLOAD_TOO_LARGE")
    assert list(services.layout.uploads.iterdir()) == []
