"""The cache of answers keeps them for their time and within its budget."""

from __future__ import annotations

from service.api.answer_cache import AnswerCache
from service.kit.clock import FixedClock


def test_an_answer_is_kept_for_its_time(clock: FixedClock) -> None:
    cache = AnswerCache(clock)
    cache.put("a", b"answer", '"tag"', 10)
    clock.advance(9)
    found = cache.get("a")
    assert found is not None
    assert (found[0].content, found[0].etag, found[1]) == (b"answer", '"tag"', 9)
    clock.advance(1)
    assert cache.get("a") is None


def test_what_was_used_least_goes_first(clock: FixedClock) -> None:
    cache = AnswerCache(clock, most_bytes=10)
    for key in ("a", "b"):
        cache.put(key, b"12345", None, 10)
    assert cache.get("a") is not None
    cache.put("c", b"12345", None, 10)
    assert [key for key in "abc" if cache.get(key) is not None] == ["a", "c"]
    cache.put("a", b"x" * 11, None, 10)
    assert cache.get("a") is None
