"""Every line is one JSON object with what is bound, whoever logs it; and secrets are gone from it."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.telemetry import logs

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_structlog_and_the_standard_library_look_alike(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger("penstock.x").info("run.started", rows=3)
        logging.getLogger("other").warning("careful with %s", "this", extra={"size": 2})
    ours, theirs = lines(stream)
    assert ours.items() >= {
        "event": "run.started", "rows": 3, "level": "info", "request_id": "req_1", "logger": "penstock.x"
    }.items()  # fmt: skip
    assert theirs.items() >= {
        "event": "careful with this", "level": "warning", "request_id": "req_1", "size": 2
    }.items()  # fmt: skip
    assert ours["time"].endswith("Z")


def test_levels(stream: io.StringIO) -> None:
    structlog.get_logger("x").debug("nothing")
    logging.getLogger("litestar").info("nothing")
    assert lines(stream) == []


def test_requirement_52_secrets_are_gone(stream: io.StringIO) -> None:
    log = structlog.get_logger("x")
    log.info(
        "login", password="hunter2", headers={"Authorization": f"Bearer {JWT}", "x": ["pr_" + "a" * 43]},
        text=f"sent {JWT} as bearer abcdefgh12345", api_key="k", nested={"a": {"refresh_token": "r"}}, rows=1,
    )  # fmt: skip
    try:
        raise ValueError(f"Authorization: Bearer {JWT}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("other").warning("token %s", JWT)
    text = stream.getvalue()
    for secret in ("hunter2", JWT, "aaaa", '"k"', '"r"', "abcdefgh12345"):
        assert secret not in text
    first, second, _ = lines(stream)
    assert (first["rows"], first["password"]) == (1, logs.MASK)
    assert "ValueError" in second["exception"]


def test_values_that_json_lacks(stream: io.StringIO) -> None:
    structlog.get_logger("x").info("odd", value=object)
    assert lines(stream)[0]["value"] == "<class 'object'>"


def test_console(stream: io.StringIO) -> None:
    logs.configure("console", "debug", stream)
    structlog.get_logger("x").debug("hello", token="t0p")
    assert "hello" in stream.getvalue()
    assert "t0p" not in stream.getvalue()


def test_the_servers_lines_come_here(stream: io.StringIO) -> None:
    from granian.log import LogLevels, configure_logging

    configure_logging(LogLevels.info, logs.server_config(), True)
    logging.getLogger("_granian").info("Listening at: http://127.0.0.1:8000")
    assert [line["logger"] for line in lines(stream)] == ["_granian"]
