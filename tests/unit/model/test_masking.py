"""What of a configuration is a secret, what only looks like one, and that a mask is never taken for one."""

from __future__ import annotations

from typing import Any

from service.model import masking

COLLECTORS: list[dict[str, Any]] = [
    {
        "type": "api",
        "endpoint": "https://example.org/x?page=1&api_key=hunter&key=hunter&sort=key&token=${TOKEN}",
        "headers": {"X-Key": "hunter", "Authorization": "Bearer hunter", "Cookie": "hunter", "Accept": "text/csv"},
        "params": {"token": 12345, "key": "hunter", "page": "1", "sig": "hunter"},
        "body": {"login": {"user": "u", "pass": "hunter"}, "tokens": ["hunter", {"value": "hunter"}]},
        "auth": {"type": "api_key", "key": "hunter", "name": "X-Token", "location": "header"},
        "primary_key": "key",
        "schema": {"token": "string"},
    },
    {
        "type": "api",
        "endpoint": "https://example.org/token?x",
        "auth": {
            "type": "oauth2_client_credentials", "token_url": "https://example.org/token?key=hunter",
            "client_id": "me", "client_secret": "hunter", "params": {"audience": "us", "password": "${WORD}"},
        },
    },
    {
        "type": "web", "url": ["https://example.org/?signature=hunter"],
        "css_selectors": {"container": "li", "token": "b"},
    },
]  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "name": "tokens",
    "description": "which token?",
    "collectors": COLLECTORS,
    "processors": [
        {"type": "cleaner", "config": {"cast": {"token": "string"}, "rename_columns": {"api_key": "key"}}},
        {"type": "other", "config": {"api_key": "hunter", "retries": 3}},
    ],
    "storage": [{"type": "other", "password": "hunter", "table": "tokens"}],
}


def test_every_literal_secret_is_masked_and_nothing_else() -> None:
    shown = masking.masked(DOCUMENT)
    assert "hunter" not in str(shown)
    assert "12345" not in str(shown)
    api, oauth, web = shown["collectors"]
    assert api["endpoint"] == "https://example.org/x?page=1&api_key=***&key=***&sort=key&token=${TOKEN}"
    assert api["headers"] == {"X-Key": "***", "Authorization": "***", "Cookie": "***", "Accept": "text/csv"}
    assert api["params"] == {"token": "***", "key": "***", "page": "1", "sig": "***"}
    assert api["body"]["login"] == {"user": "u", "pass": "***"}
    assert api["auth"] == {"type": "api_key", "key": "***", "name": "X-Token", "location": "header"}
    assert (api["primary_key"], api["schema"]) == ("key", {"token": "string"})
    assert oauth["auth"]["token_url"] == "https://example.org/token?key=***"
    assert oauth["auth"]["params"] == {"audience": "us", "password": "${WORD}"}
    assert web["css_selectors"] == {"container": "li", "token": "b"}
    assert shown["processors"][0] == DOCUMENT["processors"][0]
    assert shown["processors"][1]["config"] == {"api_key": "***", "retries": 3}
    assert shown["storage"] == [{"type": "other", "password": "***", "table": "tokens"}]
    assert (shown["name"], shown["description"]) == (DOCUMENT["name"], DOCUMENT["description"])


def test_what_is_written_back_masked_is_named() -> None:
    assert masking.problems(DOCUMENT) == []
    fields = [problem.field for problem in masking.problems(masking.masked(DOCUMENT))]
    assert fields[:4] == [
        "collectors[0].endpoint", "collectors[0].endpoint", "collectors[0].headers.X-Key",
        "collectors[0].headers.Authorization",
    ]  # fmt: skip
    assert "collectors[0].body.tokens[1].value" in fields
    assert fields[-2:] == ["processors[1].config.api_key", "storage[0].password"]


def test_what_is_no_configuration_is_left_alone() -> None:
    odd: dict[str, Any] = {
        "collectors": 1,
        "processors": [1, {"config": 2}],
        "storage": [[{"password": "hunter"}], None],
    }
    assert masking.masked(odd) == {**odd, "storage": [[{"password": "***"}], None]}
    assert masking.problems([1]) == masking.problems(None) == []
