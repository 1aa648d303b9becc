"""Answers are kept within a budget of bytes, apart for callers who may read other pipelines."""

from __future__ import annotations

from service.query.messages import DataQuery
from service.query.results import Key, Results, key_of, timed
from service.query.scope import EVERYTHING, Scope
from service.sandbox.source import TableSource

ORDERS = TableSource("orders", "orders", 1, ["a"])
MINE = frozenset({"a"})
OTHERS = [EVERYTHING, Scope(frozenset({"b"})), Scope(MINE | {"b"}), Scope(MINE, (("orders", "x"),))]
OTHER = TableSource("other", "other", 1, ["b"])


def key(number: int, scope: Scope = EVERYTHING) -> Key:
    found = key_of(DataQuery(ORDERS, "json", number, 0, 1, 1.0), scope)
    assert found is not None
    return found


def test_the_least_recently_used_answer_goes_first() -> None:
    results = Results(64 << 10)
    for number in range(20):
        results.put(key(number), "text/plain", bytes(3_000), [ORDERS])
        assert results.get(key(0)) == ("text/plain", bytes(3_000))
    kept = [number for number in range(20) if results.get(key(number)) is not None]
    assert kept == [0, *range(3, 20)], "18 of them take 63 216 bytes"


def test_an_answer_that_is_put_again_counts_once() -> None:
    results = Results(64 << 10)
    results.put(key(1), "text/plain", b"first", [])
    for _ in range(100):
        results.put(key(2), "text/plain", bytes(3_000), [])
    assert results.get(key(1)) == ("text/plain", b"first")


def test_a_large_answer_is_not_kept() -> None:
    results = Results(64 << 10)
    results.put(key(1), "text/plain", bytes(4_000), [])
    assert results.get(key(1)) is None
    nothing = Results(0)
    nothing.put(key(1), "text/plain", b"", [])
    assert nothing.get(key(1)) is None


def test_callers_who_may_read_other_pipelines_share_none() -> None:
    results = Results(64 << 10)
    results.put(key(1, Scope(MINE)), "text/plain", b"mine", [])
    assert [results.get(key(1, who)) for who in OTHERS] == [None] * 4


def test_answers_of_a_deleted_version_are_forgotten() -> None:
    results = Results(64 << 10)
    results.put(key(1), "text/plain", b"1", [ORDERS])
    results.put(key(2), "text/plain", b"2", [OTHER, ORDERS])
    results.put(key(3), "text/plain", b"3", [OTHER])
    results.forget(lambda source: source.pipeline == "orders")
    assert [results.get(key(number)) for number in (1, 2, 3)] == [None, None, ("text/plain", b"3")]


def test_the_time_in_an_answer_is_that_of_this_request() -> None:
    assert timed(b'{"truncated":false,"elapsed_ms":12.5}', 0.001) == b'{"truncated":false,"elapsed_ms":1.000}'
    assert timed(b'{"elapsed_ms":1.0,"next_offset":null}', 0.001) == b'{"elapsed_ms":1.0,"next_offset":null}'
