"""Traces: what a request led to, over processes: the request, its run, the run's steps, their requests to others.

A piece of work is a ``Span``; its ``Place`` in a trace travels as a traceparent header (W3C Trace Context). Nothing
is recorded while ``Traces.sink`` is None, and this module loads no library: ``telemetry.otlp`` is the sink.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from typing import Literal, NamedTuple

import msgspec

Attributes = dict[str, str | int | float | bool]
_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class Place(NamedTuple):
    """A span in a trace. What is below one that is not ``sampled`` is not recorded either."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """The value of a traceparent header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def derived(self, *of: str) -> Place:
        """The place of a span below this one whose id two processes find without asking each other."""
        digest = hashlib.blake2b("\0".join((self.span_id, *of)).encode(), digest_size=8)
        return Place(self.trace_id, digest.hexdigest(), self.sampled)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that has ended. Times are nanoseconds since 1970; ``error`` says why it failed."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: Literal["server", "internal", "client"] = "internal"
    start: int
    end: int
    attributes: Attributes = {}
    error: str | None = None


_current: ContextVar[Place | None] = ContextVar("place", default=None)


def received(header: str | None) -> Place | None:
    """The place that a traceparent header names; None if there is none or it is malformed."""
    found = _HEADER.fullmatch(header) if header is not None else None
    if found is None or (found[0].startswith("00") and len(found[0]) != 55):
        return None
    return Place(found[1], found[2], bool(int(found[3], 16) & 1))


def current_header() -> str | None:
    """The traceparent of the present work, if it is recorded."""
    place = _current.get()
    return place.header if place is not None and place.sampled else None


class OpenSpan:
    """Work that is going on; what begins in its context is below it until ``end``."""

    def __init__(self, sink: Callable[[Span], None], parent: Place | None) -> None:
        self._sink, self._parent, self._start = sink, parent, time.time_ns()
        trace_id = parent.trace_id if parent is not None else secrets.token_hex(16)
        self.place = Place(trace_id, secrets.token_hex(8), parent is None or parent.sampled)
        self._token: Token[Place | None] = _current.set(self.place)

    def end(
        self, name: str, kind: Literal["server", "internal"], attributes: Attributes, error: str | None = None
    ) -> None:
        """Record it."""
        _current.reset(self._token)
        if self.place.sampled:
            parent_id = self._parent.span_id if self._parent is not None else None
            self._sink(Span(
                trace_id=self.place.trace_id, span_id=self.place.span_id, parent_id=parent_id, name=name, kind=kind,
                start=self._start, end=time.time_ns(), attributes=attributes, error=error,
            ))  # fmt: skip


class Traces:
    """Begins spans, while there is a ``sink`` for them. Belongs to the event loop."""

    def __init__(self) -> None:
        self.sink: Callable[[Span], None] | None = None

    def begin(self, header: str | None = None) -> OpenSpan | None:
        """Begin a piece of work, below the place that a traceparent names or below the present one."""
        if self.sink is None:
            return None
        return OpenSpan(self.sink, received(header) or _current.get())

    def record(self, spans: Iterable[Span]) -> None:
        """Record what another process did."""
        if (sink := self.sink) is not None:
            for span in spans:
                sink(span)
