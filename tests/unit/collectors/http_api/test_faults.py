"""Any schedule of faults that the retries can bear gives exactly the rows; any other fails, and says so."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.kit import errors
from service.steps.context import CollectContext
from tests.examples import examples
from tests.unit.collectors.api_source import failure, rows
from tests.unit.collectors.http_api.faulty_source import (
    ALWAYS,
    ATTEMPTS,
    OF_JSON,
    RETRY,
    Source,
)
from tests.unit.network.site import Hit, Reply, Site, context, serving


def collected(source: Source, **config: Any) -> tuple[list[int] | errors.StepError, CollectContext, Site]:
    with tempfile.TemporaryDirectory() as folder, serving(source) as site:
        ctx = context(Path(folder))
        given = {"endpoint": site.address + "/r", "retry": RETRY, "records_path": "items", **config}
        try:
            frame = rows(given, ctx)
        except errors.StepError as error:
            return error, ctx, site
        return (frame["id"].to_list() if frame.width else []), ctx, site


OFFSET = {"type": "offset", "limit": 5}
PAGINATIONS: list[tuple[dict[str, Any], int]] = [
    (OFFSET, 1),
    (OFFSET, 3),
    ({**OFFSET, "total_path": "total"}, 1),
    ({**OFFSET, "total_path": "total"}, 4),
    ({"type": "cursor", "cursor_path": "next"}, 1),
    ({"type": "next_url", "next_path": "link", "total_path": "total"}, 1),
    ({"type": "link_header"}, 1),
]
HARMS = st.lists(st.sampled_from(OF_JSON), min_size=1, max_size=ATTEMPTS - 1)
SCHEDULES = st.dictionaries(
    st.integers(0, 25), st.one_of(HARMS, HARMS, HARMS, st.sampled_from(OF_JSON).map(lambda k: [k, ALWAYS])), max_size=8
)


@examples(40)
@given(
    count=st.integers(0, 23),
    faults=SCHEDULES,
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    way=st.sampled_from(PAGINATIONS),
)
def test_faults_change_no_row(
    count: int, faults: dict[int, list[str]], sizes: list[int], way: tuple[dict[str, Any], int]
) -> None:
    pagination, concurrency = way
    source = Source(count, faults, sizes)
    found, ctx, _ = collected(source, pagination=pagination, concurrency=concurrency)
    open_ended = pagination["type"] == "offset" and "total_path" not in pagination
    assert isinstance(found, list) == source.bearable(to_the_end=open_ended), found
    if isinstance(found, errors.StepError):
        assert isinstance(found, errors.Transient)
        assert found.details["step"] == "collectors[0]"
        assert ctx.report().evidence["stop_reason"] == "failed"
        assert ctx.report().evidence["retries"] >= ATTEMPTS - 1
        return
    assert found == list(range(count))
    assert ctx.report().evidence["rows"] == count
    if concurrency == 1:
        assert ctx.report().evidence["retries"] == source.spent


@examples(3)
@given(
    faults=st.dictionaries(st.integers(0, 9), st.just(["drip"]), min_size=1, max_size=2),
    way=st.sampled_from(PAGINATIONS),
)
def test_slow_drips_change_no_row(faults: dict[int, list[str]], way: tuple[dict[str, Any], int]) -> None:
    source = Source(10, faults, [1])
    found, ctx, _ = collected(source, pagination=way[0], concurrency=way[1], timeout_seconds=1)
    assert found == list(range(10))
    assert ctx.report().evidence["retries"] >= (source.spent if way[1] == 1 else 0)


def test_a_drip_that_never_ends_fails() -> None:
    found, ctx, site = collected(
        Source(10, {4: ["drip", ALWAYS]}, [2]), pagination={**OFFSET, "total_path": "total"}, concurrency=3,
        timeout_seconds=0.3, retry={**RETRY, "max_attempts": 2},
    )  # fmt: skip
    assert isinstance(found, errors.Transient)
    assert "timeout_seconds" in found.message
    assert (ctx.report().evidence["stop_reason"], ctx.report().evidence["rows"]) == ("failed", 4)
    assert sum(hit.query["offset"] == "4" for hit in site.hits) == 2


@examples(20)
@given(
    at=st.integers(1, 6),
    back=st.integers(0, 6),
    faults=st.dictionaries(st.integers(0, 14), HARMS, max_size=4),
    kind=st.sampled_from(["cursor", "next_url", "link_header", "offset", "offset ahead"]),
    strict=st.booleans(),
)
def test_loops_end_with_what_came_and_are_told(
    at: int, back: int, faults: dict[int, list[str]], kind: str, strict: bool
) -> None:
    """Page ``at`` leads back, or is an earlier one again: nothing comes twice, and the shortfall is no secret."""
    back = min(back, at - 1)

    class Looping(Source):
        def __call__(self, hit: Hit) -> Reply:
            reply = super().__call__(hit)
            begin = int(hit.query.get("offset", hit.query.get("cursor", 0)))
            if reply.status != 200 or reply.chunks is not None or "content-encoding" in reply.headers:
                return reply
            if kind.startswith("offset"):
                body = {"items": self.page(back * 2 if begin >= at * 2 else begin), "total": 16}
                return Reply(json.dumps(body).encode())
            if begin != at * 2 - 2:
                return reply
            link = f"{hit.path}?cursor={back * 2}"
            body = {**json.loads(reply.body), "next": str(back * 2), "link": link}
            return Reply(json.dumps(body).encode(), headers={"link": f'<{link}>; rel="next"'})

    paginations = {
        "cursor": {"type": "cursor", "cursor_path": "next"}, "next_url": {"type": "next_url", "next_path": "link"},
        "link_header": {"type": "link_header"},
    }  # fmt: skip
    pagination = {**paginations.get(kind, OFFSET), "total_path": "total"}
    more = {"completeness": "strict"} if strict else {}
    if kind == "offset ahead":
        more["concurrency"] = 3  # type: ignore[assignment]
    found, ctx, _ = collected(Looping(16, faults, [2]), pagination=pagination, **more)
    if back == at - 1 and (at == 1 or not kind.startswith("offset")):  # the page before came again
        assert isinstance(found, errors.Permanent)
        assert found.details["field"] == "pagination"
        return
    if strict:
        assert isinstance(found, errors.Permanent)
        assert found.details["field"] == "completeness"
        return
    assert found == list(range(at * 2))
    assert ctx.report().evidence["stop_reason"] == "repeated_page"
    assert sorted(w.code for w in ctx.report().warnings) == ["page_repeated", "total_differs"]


@examples(20)
@given(
    totals=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    faults=st.dictionaries(st.integers(0, 12), HARMS, max_size=3),
    concurrency=st.sampled_from([1, 3]),
)
def test_totals_that_change_are_told(totals: list[int], faults: dict[int, list[str]], concurrency: int) -> None:
    """Whatever the source claims, all that it gave is kept, and a claim that does not hold in the end is a warning."""

    class Claiming(Source):
        def __call__(self, hit: Hit) -> Reply:
            reply = super().__call__(hit)
            if reply.status != 200 or reply.chunks is not None or "content-encoding" in reply.headers:
                return reply
            with self.lock:
                total = totals.pop(0) if len(totals) > 1 else totals[0]
            return Reply.json({**json.loads(reply.body), "total": total})

    totals = list(totals)
    pagination = {**OFFSET, "limit": 4, "total_path": "total"}
    found, ctx, _ = collected(Claiming(12, faults, [4]), pagination=pagination, concurrency=concurrency)
    assert isinstance(found, list)
    assert found == list(range(len(found)))
    assert ctx.report().evidence["rows"] == len(found)
    told = [w for w in ctx.report().warnings if w.code == "total_differs"]
    assert bool(told) == (ctx.report().evidence["declared_total"] != len(found))


def test_lines_that_end_too_early_are_asked_for_again(tmp_path: Path) -> None:
    answers = iter([Reply(chunks=iter([b'{"id": 1}\n{"i'])), Reply(chunks=iter([b'{"id": 1}\n{"id": 2}']))])
    with serving(lambda hit: next(answers)) as site:
        ctx = context(tmp_path)
        frame = rows({"endpoint": site.address, "retry": RETRY, "response_format": "ndjson"}, ctx)
    assert (frame["id"].to_list(), ctx.report().evidence["retries"]) == ([1, 2], 1)


def test_a_page_of_html_is_not_asked_for_again(tmp_path: Path) -> None:
    error = failure(lambda hit: Reply(chunks=iter([b"<html>"])), tmp_path, retry=RETRY)
    assert isinstance(error, errors.Permanent)


def test_a_pause_that_is_too_long_is_the_reason(tmp_path: Path) -> None:
    error = failure(lambda hit: Reply(b"{}", 429, {"Retry-After": "3600"}), tmp_path, retry=RETRY)
    assert "asked to retry after 3600 s (retry.max_delay_seconds is 1)" in error.message
    assert error.details["delay"] == 3600
