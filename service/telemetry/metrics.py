"""What this process counts about itself: counters, histograms, and gauges that are read when somebody asks.

Counting is adding to a dictionary, so that it costs a request about a microsecond and needs no library. Labels are
names from the code (a route's template, a status), never what a caller sent or a pipeline's name: their number is
bounded. ``telemetry.exposition`` writes the values as text for Prometheus.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import service

Labels = tuple[str, ...]
Reading = Callable[[], float | Mapping[Labels, float]]
"""Reads the present value of a gauge, or one for each combination of its labels."""

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


_ENDS = ("completed", "held", "failed", "cancelled", "interrupted")
_LIMITS = (
    ("requests", "429"), ("log-ins", "429"), ("queries", "503"), ("downloads", "503"), ("tasks", "503"),
    ("runs", "503"), ("streams", "429"),
)  # fmt: skip
"""Labels that are there from the beginning, so that a first increase is seen."""


class Spread(NamedTuple):
    """The observations of one combination of labels: their number up to each bound and beyond, and their sum."""

    counts: tuple[int, ...]
    total: float


class Family(NamedTuple):
    """A metric and its values at one moment. ``bounds`` are those of a histogram, whose values are ``spreads``."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    text: str
    labels: Sequence[str]
    values: Mapping[Labels, float]
    bounds: Sequence[float] = ()
    spreads: Mapping[Labels, Spread] = {}


class Counter:
    """A sum that only grows, by labels; ``known`` ones begin with 0. Used in the event loop."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), known: Iterable[Labels] = ()) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[Labels, float] = dict.fromkeys(known if labels else [()], 0.0)

    def add(self, amount: float, *labels: str) -> None:
        """Add to the sum of these labels."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def family(self) -> Family:
        """The present values."""
        return Family("counter", self._name, self._text, self._labels, dict(self._values))


class Histogram:
    """How long something takes, by labels, ``known`` ones from the beginning. Used in the event loop."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str], known: Iterable[Labels] = ()
    ) -> None:
        self._name, self._text, self._bounds, self._labels = name, text, bounds, labels
        self._spreads = {labels: self._empty() for labels in known}

    def observe(self, seconds: float, *labels: str) -> None:
        """Count an observation."""
        spread = self._spreads.get(labels)
        if spread is None:
            spread = self._spreads[labels] = self._empty()
        spread[bisect.bisect_left(self._bounds, seconds)] += 1
        spread[-1] += seconds

    def _empty(self) -> list[float]:
        return [0.0] * (len(self._bounds) + 2)  # the counts, then the sum

    def family(self) -> Family:
        """The present values."""
        spreads = {key: Spread(tuple(map(int, found[:-1])), found[-1]) for key, found in self._spreads.items()}
        return Family("histogram", self._name, self._text, self._labels, {}, self._bounds, spreads)


class _Gauge(NamedTuple):
    name: str
    text: str
    labels: Sequence[str]
    read: Reading

    def family(self) -> Family:
        found = self.read()
        return Family(
            "gauge", self.name, self.text, self.labels, found if isinstance(found, Mapping) else {(): float(found)}
        )


class Metrics:
    """The metrics of a service."""

    def __init__(self) -> None:
        self.requests = Counter(
            "penstock_requests_total", "Requests that were answered.", ("method", "route", "status")
        )  # fmt: skip
        self.request_seconds = Histogram(
            "penstock_request_seconds", "Time from a request to the end of its answer.", _QUICK, ("method", "route")
        )
        self.run_seconds = Histogram(
            "penstock_run_seconds", "Time of runs that have ended, by the status that they ended with.", _LONG,
            ("status",), [(status,) for status in _ENDS],
        )  # fmt: skip
        self.rows_stored = Counter("penstock_rows_stored_total", "Rows of the versions that runs have stored.")
        self.bytes_stored = Counter("penstock_bytes_stored_total", "Bytes of the versions that runs have stored.")
        self.query_seconds = Histogram(
            "penstock_query_seconds", "Time of queries to their answer; of a stream, to its beginning.", _QUICK,
            ("kind", "outcome"),
        )  # fmt: skip
        self.limits_hit = Counter(
            "penstock_limits_hit_total", "Requests that a limit refused with 429 or 503.", ("limit", "status"),
            _LIMITS,
        )  # fmt: skip
        self.telemetry_lost = Counter(
            "penstock_telemetry_lost_total", "Spans and sets of metrics that the OpenTelemetry collector did not take.",
            ("signal",), [("traces",), ("metrics",)],
        )  # fmt: skip
        self._counted: list[Counter | Histogram] = [
            self.requests, self.request_seconds, self.run_seconds, self.rows_stored, self.bytes_stored,
            self.query_seconds, self.limits_hit, self.telemetry_lost,
        ]  # fmt: skip
        self._quick: list[_Gauge] = []
        self._slow: list[_Gauge] = []
        self.gauge(
            "penstock_build_info", "The release of the service.", lambda: {(service.__version__,): 1.0}, ("version",)
        )

    def gauge(self, name: str, text: str, read: Reading, labels: Sequence[str] = (), *, blocks: bool = False) -> None:
        """Add a gauge. ``read`` is called in the event loop; if it ``blocks``, in a thread."""
        (self._slow if blocks else self._quick).append(_Gauge(name, text, labels, read))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        if method not in METHODS:
            method = "other"
        self.requests.add(1, method, route, str(status))
        self.request_seconds.observe(seconds, method, route)

    def counted(self) -> list[Family]:
        """The metrics that are read in the event loop; call it there."""
        return [*(metric.family() for metric in self._counted), *(gauge.family() for gauge in self._quick)]

    def read(self) -> list[Family]:
        """The gauges that block, such as those of the disk."""
        return [gauge.family() for gauge in self._slow]
