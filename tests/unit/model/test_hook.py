"""Hooks in a configuration, and the signature as the guide tells receivers to check it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

import service
from service.kit import errors
from service.model import masking
from service.model.hook import sign
from service.model.normalized import resolved
from tests.registry import a_pipeline

GUIDE = Path(service.__file__).parent / "docs" / "operations.md"
URL = "https://example.org/hook"


def test_the_check_in_the_guide_accepts_what_is_signed() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    is_genuine, body, now = namespace["is_genuine"], b'{"event": "failed"}', int(time.time())
    assert is_genuine("secret", sign("secret", body, now), body)
    assert not is_genuine("other", sign("secret", body, now), body)
    assert not is_genuine("secret", sign("secret", body, now), body + b" ")
    assert not is_genuine("secret", sign("secret", body, now - 1000), body)


@pytest.mark.parametrize(
    ("hook", "field"),
    [
        ({"url": "ftp://example.org"}, "notify[0].url"),
        ({"url": ""}, "notify[0].url"),
        ({"url": "http://"}, "notify[0].url"),
        ({"url": "http://[::1"}, "notify[0].url"),
        ({"url": "https://example.org:99999/"}, "notify[0].url"),
        ({"url": "https://user:word@example.org/"}, "notify[0].url"),
        ({}, "notify[0].url"),
        ({"url": URL, "events": []}, "notify[0].events"),
        ({"url": URL, "events": ["done"]}, "notify[0].events[0]"),
        ({"url": URL, "secret": "***"}, "notify[0].secret"),
        ({"url": URL, "key": "x"}, "notify[0].key"),
    ],
)
def test_wrong_hooks_are_refused(hook: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        a_pipeline(notify=[hook])
    assert field in {problem["field"] for problem in refused.value.details["errors"]}


def test_defaults_are_shown_and_secrets_are_not() -> None:
    hooks = [{"url": f"{URL}?token=abc", "secret": "abc"}, {"url": "${HOOK_URL}", "secret": "${HOOK_SECRET}"}]
    first, second = masking.masked(resolved(a_pipeline(notify=hooks)))["notify"]
    assert (first["url"], first["secret"]) == (f"{URL}?token=***", "***")
    assert first["events"] == ["completed", "failed", "cancelled", "interrupted", "held"]
    assert (second["url"], second["secret"]) == ("${HOOK_URL}", "${HOOK_SECRET}")
