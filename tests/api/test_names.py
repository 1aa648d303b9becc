"""Names do not end with a line break, which ``$`` of a pattern allows in Python: headers and paths cannot hold it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

import service
from tests.api.conftest import PASSWORD, a_pipeline

Client = TestClient[Litestar]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("users", {"username": "ann\n", "password": PASSWORD, "role": "viewer"}, "username"),
        ("pipeline/create", a_pipeline("sales\n"), "name"),
        ("keys", {"name": "k", "pipelines": ["sales\n"]}, "pipelines[0]"),
        ("keys", {"name": "k", "queries": ["sales\n"]}, "queries[0]"),
        ("pipeline/orders/versions/1/tag", {"tag": "good\n"}, "tag"),
    ],
)
def test_a_name_has_no_line_break_at_its_end(orders: Client, path: str, body: dict[str, Any], field: str) -> None:
    answer = orders.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["details"].get("field")) == (400, field)


def test_patterns_end_where_the_text_does() -> None:
    for path in Path(service.__file__).parent.rglob("*.py"):
        for pattern in re.findall(r"\bpattern=r?\"([^\"]*)\"", path.read_text()):
            assert not pattern.endswith("$"), f"{path}: write \\Z, which schemas show as $"


def test_schemas_show_patterns_as_json_schema_has_them(client: Client) -> None:
    text = client.get("/docs/openapi.json").text
    assert r"\\Z" not in text
    assert '"^[a-z][a-z0-9_-]{0,62}$"' in text
