"""The requests of a run as spans: sent together, the first thousand, below their steps."""

from __future__ import annotations

from datetime import UTC, datetime

from service.jobs.messages import Grants, Order, Spans
from service.jobs.traced_requests import TracedRequests, step_place
from service.network.observer import Sent
from service.telemetry.tracing import Place, Span

RUN = Place("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def sent(step: str = "collectors[0]", status: int | None = 200, error: str | None = None) -> Sent:
    return Sent(step, "GET", "https://example.org/rows", 1, 2, status, error)


def traced(*requests: Sent) -> list[list[Span]]:
    order = Order(
        run_id="run_1", pipeline_id="p", document={}, revision=1, version=1, created=datetime(2026, 1, 1, tzinfo=UTC),
        grants=Grants(folder="", memory_bytes=0), trace=RUN.header,
    )  # fmt: skip
    messages: list[Spans] = []
    log = TracedRequests(order, messages.append)
    for request in requests:
        log.note(request)
    log.flush()
    log.flush()
    assert all(span.parent_id == step_place(RUN, order, "collectors[0]").span_id for m in messages for span in m.spans)
    return [message.spans for message in messages]


def test_they_are_sent_together_and_not_without_end() -> None:
    groups = traced(*[sent()] * 2345)
    assert [len(group) for group in groups] == [50] * 20
    assert len({span.span_id for group in groups for span in group}) == 1000


def test_an_answer_that_is_an_error_and_none_at_all() -> None:
    ((fine, missing, broken),) = traced(sent(), sent(status=404), sent(status=None, error="ConnectError"))
    assert (fine.error, missing.error, broken.error) == (None, "404", "ConnectError")
    assert "http.response.status_code" not in broken.attributes
    assert fine.attributes["url.full"] == "https://example.org/rows"
