"""What an API is asked, and what its answers say of the next page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.unit.collectors.api_source import failure, fetched, rows
from tests.unit.network.site import Hit, Reply, context, serving


def test_secrets_are_filled_in_wherever_they_stand(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        if hit.path == "/token":
            return Reply.json({"access_token": "token-1234", "token_type": "Bearer"})
        return Reply.json([{"id": 1, "at": "2024-05-01"}])

    names = {"ID": "me", "SECRET": "hidden-1234", "SCOPE": "read write", "BEGIN": "2024-01-01", "NAME": "X-Key"}
    with serving(answer) as site:
        auth = {
            "type": "oauth2_client_credentials", "token_url": f"{site.address}/token", "client_id": "${ID}",
            "client_secret": "${SECRET}", "scope": "${SCOPE}", "client_auth": "body",
        }  # fmt: skip
        incremental = {"cursor_field": "at", "param": "since", "initial": "${BEGIN}"}
        rows({"endpoint": site.address, "auth": auth, "incremental": incremental}, context(tmp_path, secrets=names))
        key = {"type": "api_key", "name": "${NAME}", "key": "${SECRET}"}
        rows({"endpoint": site.address, "auth": key}, context(tmp_path, secrets=names))
    token, first, second = site.hits
    assert parse_qs(token.body.decode())["scope"] == ["read write"]
    assert first.query == {"since": "2024-01-01"}
    assert second.headers["x-key"] == "hidden-1234"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("meta.nxt", "page 1 has nothing at 'meta.nxt'; did you mean 'next'?; it is read as the only page"),
        ("paging.next", "page 1 has nothing at 'paging.next'; it is read as the only page"),
        ("meta.next", None),
        ("meta.token", None),
        ("next_page", None),
    ],
)
def test_a_path_that_looks_wrong_is_told(path: str, told: str | None, tmp_path: Path) -> None:
    body = {"items": [{"id": 1}], "meta": {"next": None}}
    _, _, ctx = fetched(lambda hit: Reply.json(body), tmp_path, pagination={"type": "cursor", "cursor_path": path})
    assert [w.message for w in ctx.report().warnings] == ([told] if told else [])


@pytest.mark.parametrize("kind", [{"type": "cursor", "cursor_path": "next"}, {"type": "link_header"}])
def test_equal_rows_behind_another_cursor_are_no_repetition(kind: dict[str, Any], tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query.get("cursor", 1))
        more = {"link": f'</orders?cursor={page + 1}>; rel="next"'} if page < 4 else {}
        return Reply.json({"items": [{"state": "ok"}] * 3, "next": page + 1 if page < 4 else None}, **more)

    frame, _, ctx = fetched(answer, tmp_path, pagination=kind)
    assert (len(frame), ctx.report().evidence["stop_reason"]) == (12, "no_next")


def test_a_source_that_does_not_know_the_cursor_is_an_error(tmp_path: Path) -> None:
    body = {"items": [{"id": 1}, {"id": 2}], "next": "abc"}
    kind = {"type": "cursor", "cursor_path": "next", "cursor_param": "unknown"}
    error = failure(lambda hit: Reply.json(body), tmp_path, pagination=kind)
    assert "page 2 equals page 1: what came is not what was asked for" in error.message
    assert "'unknown'" in error.message


@pytest.mark.parametrize("headers", [{"retry-after": "0"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}])
def test_forbidden_for_a_while_is_asked_again(headers: dict[str, str], tmp_path: Path) -> None:
    answers = iter([Reply(b"rate limit exceeded", 403, headers), Reply.json([{"id": 1}])])
    _, _, ctx = fetched(lambda hit: next(answers), tmp_path, retry={"initial_delay_seconds": 0})
    assert ctx.report().evidence["retries"] == 1
