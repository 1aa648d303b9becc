"""Placeholders that a run would not fill in are told of when the pipeline is validated."""

from __future__ import annotations

from typing import Any

import pytest

from service.model import pipeline as pipelines
from service.model import secret_names
from service.model.registry import Registry


def warned(known: set[str], processors: list[dict[str, Any]] | None = None, **collector: Any) -> list[tuple[str, str]]:
    document = {"name": "p", "collectors": [{"type": "api", "endpoint": "https://example.org", **collector}]}
    document |= {"processors": processors or []}
    found = secret_names.warnings(pipelines.decode(document, Registry.load()), known)
    return [(warning.step, f"{warning.code} {warning.details['text']}") for warning in found]


def test_secrets_that_are_configured_are_no_matter() -> None:
    assert warned({"TOKEN"}, auth={"type": "bearer", "token": "${TOKEN}"}, params={"price": "$5 {a}"}) == []


def test_one_that_is_not_configured_is_named_once() -> None:
    found = warned(set(), headers={"a": "${TOKEN}", "b": "x ${TOKEN}"})
    assert found == [("collectors[0]", "no_secret ${TOKEN}")]


@pytest.mark.parametrize("text", ["${token}", "${}", "${TOKEN", "${TO-KEN}", "${ TOKEN }"])
def test_what_only_looks_like_a_secret_is_sent_as_it_is(text: str) -> None:
    assert warned({"TOKEN"}, params={"a": text}) == [("collectors[0]", f"no_placeholder {text}")]


def test_processors_get_no_secrets() -> None:
    steps = [{"type": "cleaner", "config": {"filter": "a = '${TOKEN}' OR a = '${x}'"}}]
    assert warned({"TOKEN"}, steps) == [("processors[0]", "no_placeholder ${TOKEN}")]
