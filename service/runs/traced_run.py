"""The spans of a run and of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from service.jobs.messages import Order
from service.jobs.traced_requests import step_place
from service.model.run import Run, Step
from service.telemetry import tracing
from service.telemetry.tracing import Attributes, OpenSpan, Span, Traces


def end(span: OpenSpan | None, run: Run) -> None:
    """Record a run that has ended, or that waits for another process."""
    if span is None:
        return
    attributes: Attributes = {
        "penstock.run_id": run.run_id, "penstock.pipeline": run.pipeline, "penstock.status": run.status,
        "penstock.attempts": run.attempt, "penstock.rows_stored": run.rows_stored,
    }  # fmt: skip
    if run.version is not None:
        attributes["penstock.version"] = run.version
    span.end("run", "internal", attributes, run.error.code if run.error is not None else None)


def record_steps(traces: Traces, order: Order, steps: Iterable[Step], failed: str | None = None) -> None:
    """Record the steps of an attempt that have ended, and the one that ``failed``, up to now."""
    run = tracing.received(order.trace)
    if traces.sink is None or run is None:
        return
    for step in steps:
        if step.started is None or step.ended is None:
            continue
        place = step_place(run, order, step.step)
        attributes: Attributes = {"penstock.step": step.step, "penstock.pipeline": order.document.get("name", "")}
        if step.rows_out is not None:
            attributes["penstock.rows_out"] = step.rows_out
        traces.sink(Span(
            trace_id=place.trace_id, span_id=place.span_id, parent_id=run.span_id, name=step.step,
            start=_nanoseconds(step.started), end=_nanoseconds(step.ended), attributes=attributes,
            error="STEP_FAILED" if step.step == failed else None,
        ))  # fmt: skip


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
