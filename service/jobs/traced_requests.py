"""The requests of a run's collectors as spans below the run's steps, sent to the process that exports them."""

from __future__ import annotations

from collections.abc import Callable

from service.jobs.messages import Order, Spans
from service.network.observer import Sent
from service.telemetry import tracing
from service.telemetry.tracing import Attributes, Place, Span

_AT_ONCE = 50
_MOST = 1_000  # of a run; a crawl of a million pages would fill every queue


def step_place(run: Place, order: Order, step: str) -> Place:
    """The place of a step's span: another one in each attempt."""
    return run.derived(order.created.isoformat(), step)


class TracedRequests:
    """Makes spans of the requests of one run, the first thousand of them."""

    def __init__(self, order: Order, send: Callable[[Spans], None]) -> None:
        self._run = tracing.received(order.trace)
        self._order = order
        self._send = send
        self._waiting: list[Span] = []
        self._left = _MOST

    def note(self, sent: Sent) -> None:
        """Note a request; some are sent together."""
        if self._run is None or not self._left:
            return
        self._left -= 1
        above, status = step_place(self._run, self._order, sent.step), sent.status
        attributes: Attributes = {"http.request.method": sent.method, "url.full": sent.url, "penstock.step": sent.step}
        if status is not None:
            attributes["http.response.status_code"] = status
        self._waiting.append(Span(
            trace_id=above.trace_id, span_id=above.derived(str(self._left)).span_id, parent_id=above.span_id,
            name=sent.method, kind="client", start=sent.start, end=sent.end, attributes=attributes,
            error=sent.error or (str(status) if status is not None and status >= 400 else None),
        ))  # fmt: skip
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Send those that wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._send(Spans(waiting))
