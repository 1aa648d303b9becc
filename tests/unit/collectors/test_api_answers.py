"""What is filled in before an API is asked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

from tests.unit.collectors.test_api import rows
from tests.unit.steps.site import Hit, Reply, context, serving


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
