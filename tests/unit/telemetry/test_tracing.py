"""Places in traces: which headers name one, what is recorded below it, and which ids two processes find alike."""

from __future__ import annotations

import asyncio

import pytest

from service.telemetry import tracing
from service.telemetry.tracing import Place, Span, Traces

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "place"),
    [
        (f"00-{TRACE}-{ABOVE}-01", Place(TRACE, ABOVE)),
        (f"00-{TRACE}-{ABOVE}-00", Place(TRACE, ABOVE, False)),
        (f"cc-{TRACE}-{ABOVE}-03-what-the-future-holds", Place(TRACE, ABOVE)),
        (f"00-{TRACE}-{ABOVE}-01-more", None),
        (f"ff-{TRACE}-{ABOVE}-01", None),
        (f"00-{'0' * 32}-{ABOVE}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{ABOVE}-01", None),
        (f"00-{TRACE}-{ABOVE}", None),
        (f"00-{TRACE}-{ABOVE}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_headers(header: str | None, place: Place | None) -> None:
    assert tracing.received(header) == place
    if place is not None:
        assert tracing.received(place.header) == place


def test_nothing_is_recorded_without_a_sink() -> None:
    traces = Traces()
    assert traces.begin(f"00-{TRACE}-{ABOVE}-01") is None
    assert tracing.current_header() is None
    traces.record([Span(trace_id=TRACE, span_id=ABOVE, parent_id=None, name="x", start=1, end=2)])


def test_work_is_below_what_it_began_in_also_in_tasks() -> None:
    traces, spans = Traces(), list[Span]()
    traces.sink = spans.append

    async def below() -> None:
        span = traces.begin()
        assert span is not None
        assert tracing.current_header() == span.place.header
        await asyncio.sleep(0)
        span.end("below", "internal", {"a": 1})

    async def above() -> None:
        span = traces.begin(f"00-{TRACE}-{ABOVE}-01")
        assert span is not None
        task = asyncio.create_task(below())
        span.end("above", "server", {}, "500")
        await task

    asyncio.run(above())
    first, second = spans
    assert (first.name, first.trace_id, first.parent_id, first.error) == ("above", TRACE, ABOVE, "500")
    assert (second.trace_id, second.parent_id) == (TRACE, first.span_id)
    assert first.start <= second.start <= second.end


def test_what_the_caller_does_not_record_is_not_recorded_below_either() -> None:
    traces, spans = Traces(), list[Span]()
    traces.sink = spans.append
    above = traces.begin(f"00-{TRACE}-{ABOVE}-00")
    below = traces.begin()
    assert above is not None
    assert below is not None
    assert tracing.current_header() is None
    below.end("below", "internal", {})
    above.end("above", "server", {})
    assert spans == []


def test_two_processes_find_the_same_id_for_a_step() -> None:
    run = Place(TRACE, ABOVE)
    known = tracing.received(run.header)
    assert known is not None
    assert run.derived("2026-01-01", "collectors[0]") == known.derived("2026-01-01", "collectors[0]")
    ids = {run.derived(attempt, step).span_id for attempt in ("1", "2") for step in ("a", "b")}
    assert len(ids) == 4
