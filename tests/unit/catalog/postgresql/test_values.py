"""Texts come back as they were, whatever is in them."""

from __future__ import annotations

import json

import pytest

from service.catalog.store import Store
from tests import stores

ODD = ["", "\0", "a\0b", "\ue000", "\ue0000", "\ue0001", "\0\ue000\0", "\\u0000", "\\\\u0000", "\\\0", "é\U0001f600"]

pytestmark = stores.BOTH


@pytest.fixture
def store() -> Store:
    return stores.new()


@pytest.mark.parametrize("text", ODD)
def test_texts_and_documents(store: Store, text: str) -> None:
    """In a column of text, in one of JSON, and what is taken out of a document."""
    document = json.dumps({"a": text, text: [text]}, ensure_ascii=False)
    store.execute("INSERT INTO properties (name, value) VALUES ($name, $value)", {"name": text, "value": document})
    assert store.row("SELECT name, value FROM properties WHERE name = $name", {"name": text}) == {
        "name": text, "value": document,
    }  # fmt: skip
    store.execute(
        "INSERT INTO saved_queries (name, value) VALUES ($name, $value::JSON)", {"name": text, "value": document}
    )
    found = store.row("SELECT value, value ->> 'a' AS a FROM saved_queries WHERE name = $name", {"name": text})
    assert found == {"value": document, "a": text}
    listed = store.row(
        "SELECT json_extract_string(value, '$.a') AS a, $names::VARCHAR[] AS b FROM saved_queries", {"names": [text]}
    )
    assert listed is not None
    assert listed["b"] == [text]
