"""Statements and values as PostgreSQL takes them; every statement of ours is one that it understands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog.postgresql import dialect, values
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.statements import load_sql
from tests.postgresql import Cluster

FILES = sorted((Path(dialect.__file__).parent.parent / "sql").glob("*.sql"))
APART = {"schema", "migrations", "postgresql"}
TEXTS = st.text(st.sampled_from('a0u1\\"\0\ue000é\n'), max_size=12)


def test_parameters_and_types() -> None:
    assert dialect.translated("SELECT 1 AS one") == ("SELECT 1 AS one", frozenset())
    assert dialect.translated("SELECT $a, '5%' FROM t WHERE b = $b::JSON AND json_extract(c, '$.d[*]') = $a") == (
        "SELECT %(a)s, '5%%' FROM t WHERE b = %(b)s::JSON AND json_extract(c, '$.d[*]') = %(a)s",
        frozenset({"b"}),
    )
    created = dialect.translated("CREATE TABLE t (a VARCHAR PRIMARY KEY, b BLOB, c JSON)").text
    assert created == 'CREATE TABLE t (a text COLLATE "C" PRIMARY KEY, b bytea, c JSON)'
    assert dialect.translated("SELECT $a::VARCHAR").text == "SELECT %(a)s::VARCHAR"


@pytest.mark.services
def test_every_statement_is_understood_by_postgresql(cluster: Cluster) -> None:
    refused = []
    with cluster.database() as url:
        store = PostgreSQLStore(Server(url))
        with store._server.connected() as connection:
            for path in FILES:
                for name, sql in load_sql(path.stem).items() if path.stem not in APART else ():
                    found: dict[str, int] = {}
                    text = re.sub(
                        r"%\((\w+)\)s", lambda m, f=found: f"${f.setdefault(m[1], len(f) + 1)}",  # type: ignore[misc]
                        dialect.translated(sql).text,
                    )  # fmt: skip
                    try:
                        connection.execute(f"PREPARE one AS {text}".encode())
                        connection.execute("DEALLOCATE one")
                    except Exception as error:
                        refused.append(f"{path.stem}.{name}: {error}")
        store.close()
    assert refused == []


@given(TEXTS, TEXTS)
def test_what_is_sent_has_no_nul_and_differs_where_texts_do(first: str, second: str) -> None:
    one, other = values.stored(first), values.stored(second)
    assert "\0" not in one
    assert (one == other) == (first == second)


@given(st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)))
def test_documents_stay_documents_without_nul(value: Any) -> None:
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value)):
        assert not any("\0" in one for one in texts(json.loads(values.stored(text, json=True))))


def texts(value: Any) -> Iterator[str]:
    """All texts in a document, keys too."""
    if isinstance(value, str):
        yield value
    else:
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from texts(one)
