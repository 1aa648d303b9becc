"""Bodies as an attacker writes them: long, wide, with thousands of problems. Others must not wait for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api import request_body
from service.kit import documents, errors, struct_types
from service.kit.settings import Settings
from service.model.pipeline import decode
from service.model.registry import Registry

Client = TestClient[Litestar]
CREATE = "/api/v1/pipeline/create"
JSON = {"content-type": "application/json"}


@pytest.fixture
def settings() -> Settings:
    return Settings()


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % i for i in range(count)) + b"}"


@pytest.mark.parametrize("path", [CREATE, "/api/v1/query", "/api/v1/pipeline/validate"])
def test_an_error_lists_a_hundred_problems(client: Client, path: str) -> None:
    error = client.post(path, content=keys(20_000), headers=JSON).json()["error"]
    assert (error["code"], len(error["details"]["errors"])) == ("VALIDATION_ERROR", 100)
    assert error["message"].startswith("more than 100 problems in the ")
    assert error["details"]["field"] == "k0"


def test_a_hundred_problems_are_all_listed() -> None:
    error = errors.Invalid.of([errors.Problem(f"a{i}", "is wrong") for i in range(100)])
    assert (len(error.details["errors"]), error.message[:12]) == (100, "100 problems")


def test_problems_of_many_steps_are_bounded() -> None:
    document = {"name": "a", "collectors": [{"type": f"t{i}"} for i in range(5_000)], "processors": [1] * 5_000}
    with pytest.raises(errors.Invalid, match="more than 100 problems") as raised:
        decode(document, Registry())
    assert len(raised.value.details["errors"]) == 100


@pytest.mark.parametrize(
    ("path", "text", "status", "code"),
    [
        (CREATE, keys(60_000), 413, "PAYLOAD_TOO_LARGE"),
        ("/api/v1/query", b'{"sql":' + b"[" * 100_001 + b"]" * 100_001 + b"}", 400, "INVALID_JSON"),
        ("/api/v1/query", b'{"sql":[' + b"{}," * 100_001 + b"0]}", 400, "INVALID_JSON"),
        ("/api/v1/query", keys(100_000), 413, "PAYLOAD_TOO_LARGE"),
        ("/api/v1/pipeline/orders/apply", b'{"recordx":[' + b"0," * 600_000 + b"0]}", 400, "VALIDATION_ERROR"),
        ("/api/v1/query", b'{"sql":"SELECT 1","parameters":[' + b"0," * 300_000 + b"0]}", 400, "VALIDATION_ERROR"),
    ],
)
def test_long_bodies_that_are_refused(orders: Client, path: str, text: bytes, status: int, code: str) -> None:
    answer = orders.post(path, content=text, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(answer.content) < 20_000


def test_long_bodies_are_decoded_off_the_event_loop() -> None:
    async def place(text: bytes) -> str:
        return await request_body.decoded(text, lambda _: threading.current_thread().name)

    assert asyncio.run(place(b" " * 65_536)) == threading.main_thread().name
    assert asyncio.run(place(b" " * 65_537)).startswith("decoder")


@pytest.mark.parametrize("value", [[0] * 60_000, [1.5] * 60_000, ["a"] * 60_000, [None, True, "b", -1, 2.0] * 20_000])
def test_values_are_checked_wherever_they_are(value: list[Any]) -> None:
    assert documents.from_json(msgspec.json.encode({"a": value})) == {"a": value}
    for wrong, message in ((b"1e999", "out of range"), (b'"\\u0000"', "NUL"), (b"18446744073709551616", "64 bits")):
        text = msgspec.json.encode(value)[:-1] + b"," + wrong + b"]"
        with pytest.raises(errors.Invalid, match=message):
            documents.from_json(text)


def test_the_values_of_yaml_are_counted() -> None:
    assert len(documents.from_yaml(b"- b\n" * 19_999)) == 19_999
    for text in (b"- b\n" * 20_000, b"[" + b"1," * 20_000 + b"1]", b"".join(b"k%d: 1\n" % i for i in range(10_001))):
        with pytest.raises(errors.Invalid, match="at most 20000 values and keys; send JSON"):
            documents.from_yaml(text)


def test_threads_may_decode_the_types_of_every_route_at_once(client: Client) -> None:
    routes = [kind for kind in msgspec.Struct.__subclasses__() if kind.__module__.startswith("service.api.routes.")]
    assert len(routes) > 20
    assert [kind for kind in routes if not struct_types.ready(kind)] == []
