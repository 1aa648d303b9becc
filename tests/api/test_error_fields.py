"""Each 400 about a request names what is wrong with it: a field of the body, ``body``, a parameter or a header."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.api.route_list import routes

Client = TestClient[Litestar]
JSON = {"content-type": "application/json"}
NAMES = {"name": "orders", "number": "1", "run_id": "run_1", "username": "ann", "table": "orders", "path": "a.csv"}


def filled(path: str) -> str:
    for name in ("name", "number", "run_id", "username", "table", "path", "tag", "asset"):
        path = path.replace("{" + name + "}", NAMES.get(name, "x1"))
    return path


def unnamed(answer: Any) -> bool:
    """Whether an answer is a 400 that names nothing."""
    if answer.status_code != 400:
        return False
    details = answer.json()["error"]["details"]
    listed = [problem["field"] for problem in details.get("errors", [])]
    return not details.get("field") or "" in listed


BODIES = [b"[]", b"[1]", b"1", b'"x"', b"null", b"{", b"", b"{}", b'{"nothing": 1}', b'{"a": 1, "a": 2}', b"\xff",
          b"[" * 100]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=[body[:12].decode(errors="replace") for body in BODIES])
def test_wrong_bodies(app: Litestar, orders: Client, body: bytes) -> None:
    found = []
    for method, path, _ in routes(app):
        if method in ("POST", "PUT", "PATCH", "DELETE") and not path.endswith(("/files/{path}", "/logout")):
            answer = orders.request(method, filled(path), content=body, headers=JSON)
            assert answer.status_code < 500, (method, path, answer.text)
            if unnamed(answer):
                found.append((method, path, answer.text))
    assert found == []


def test_no_route_ignores_a_body_or_a_parameter(app: Litestar, orders: Client) -> None:
    """What is ignored in silence is believed to work."""
    found = []
    for method, path, _ in routes(app):
        if not path.startswith("/api/v1") or method in ("HEAD", "OPTIONS"):
            continue
        answers = [orders.request(method, f"{filled(path)}?nothing=1")]
        if method in ("POST", "DELETE"):
            answers.append(orders.request(method, filled(path), content=b"[1]", headers=JSON))
        found += [
            (method, path, answer.text) for answer in answers if answer.status_code < 400 or unnamed(answer)
        ]  # fmt: skip
    assert found == []
