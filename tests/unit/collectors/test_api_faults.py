"""Any schedule of faults that the retries can bear gives exactly the rows; any other fails, and says so."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.kit import errors
from tests.unit.collectors.test_api import rows
from tests.unit.steps.site import Hit, Reply, context, serving

ATTEMPTS = 4
FAULTS = ("busy", "later", "until", "torn", "short gzip", "damaged gzip", "cut", "gateway")
RETRY = {"max_attempts": ATTEMPTS, "initial_delay_seconds": 0, "max_delay_seconds": 1}


def faulty(kind: str, good: Reply) -> Reply:
    packed = gzip.compress(good.body)
    match kind:
        case "busy":
            return Reply(b"busy", 503)
        case "later":
            return Reply(b"{}", 429, {"Retry-After": "0"})
        case "until":
            return Reply(b"{}", 429, {"Retry-After": formatdate(0, usegmt=True)})
        case "torn":  # ends before its length
            return Reply(headers={"content-length": str(len(good.body) + 1)}, chunks=iter([good.body]))
        case "cut":
            return Reply(headers={"content-length": "100000"}, chunks=iter([]))
        case "short gzip":
            return Reply(packed[:-5], headers={"content-encoding": "gzip"})
        case "damaged gzip":
            return Reply(packed[:-5] + b"\0" + packed[-4:], headers={"content-encoding": "gzip"})
        case _:
            return Reply(b"<html>", 502, {"content-encoding": "br"})


class Source:
    """Records behind offsets or cursors; every request takes the next entry of the schedule (None: answer)."""

    def __init__(self, count: int, schedule: Sequence[str | None], sizes: Sequence[int]) -> None:
        self.records = [{"id": i} for i in range(count)]
        self.schedule, self.sizes = list(schedule), sizes

    def __call__(self, hit: Hit) -> Reply:
        begin = int(hit.query.get("offset", hit.query.get("cursor", 0)))
        size = self.sizes[begin % len(self.sizes)]  # pages may be shorter than asked for, anywhere
        page = self.records[begin : begin + size]
        after = begin + len(page)
        body = {"items": page, "total": len(self.records), "next": after if after < len(self.records) else None}
        good = Reply(json.dumps(body).encode())
        fault = self.schedule.pop(0) if self.schedule else None
        return good if fault is None else faulty(fault, good)


def bearable(schedule: Sequence[str | None]) -> bool:
    run = longest = 0
    for entry in schedule:
        run = run + 1 if entry is not None else 0
        longest = max(longest, run)
    return longest < ATTEMPTS


PAGINATIONS: list[dict[str, Any]] = [
    {"type": "offset", "limit": 5},
    {"type": "offset", "limit": 5, "total_path": "total"},
    {"type": "cursor", "cursor_path": "next"},
]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 23),
    schedule=st.lists(st.one_of(st.none(), st.sampled_from(FAULTS)), max_size=14),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    pagination=st.sampled_from(PAGINATIONS),
    concurrency=st.sampled_from([1, 3]),
)
def test_faults_change_no_row(
    count: int, schedule: list[str | None], sizes: list[int], pagination: dict[str, Any], concurrency: int
) -> None:
    side_by_side = concurrency > 1 and pagination["type"] == "offset"
    with tempfile.TemporaryDirectory() as folder, serving(Source(count, schedule, sizes)) as site:
        ctx = context(Path(folder))
        config = {"endpoint": site.address, "pagination": pagination, "retry": RETRY, "records_path": "items"}
        if side_by_side:
            config["concurrency"] = concurrency
        failed: errors.StepError | None = None
        try:
            frame = rows(config, ctx)
        except errors.StepError as error:
            failed = error
    if failed is not None:
        assert not bearable(schedule) or side_by_side, failed
        assert failed.details["step"] == "collectors[0]"
        assert ctx.evidence == {}
        return
    assert (frame["id"].to_list() if frame.width else []) == list(range(count))
    if not side_by_side and len(site.hits) > len(schedule):
        assert bearable(schedule)
        assert ctx.evidence["retries"] == sum(entry is not None for entry in schedule)


@settings(max_examples=20, deadline=None)
@given(totals=st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_totals_that_change_are_told(totals: list[int]) -> None:
    """Whatever the source claims, all that it gave is kept, and a claim that does not hold in the end is a warning."""
    records = [{"id": i} for i in range(12)]
    said = list(totals)

    def answer(hit: Hit) -> Reply:
        begin = int(hit.query["offset"])
        total = said.pop(0) if len(said) > 1 else said[0]
        return Reply.json({"items": records[begin : begin + 4], "total": total})

    with tempfile.TemporaryDirectory() as folder, serving(answer) as site:
        ctx = context(Path(folder))
        pagination = {"type": "offset", "limit": 4, "total_path": "total"}
        frame = rows({"endpoint": site.address, "pagination": pagination, "retry": RETRY}, ctx)
    evidence = ctx.evidence
    assert evidence["rows"] == frame.height
    assert frame["id"].to_list() == list(range(frame.height))
    told = [w for w in ctx.warnings if w["code"] == "total_differs"]
    assert bool(told) == (evidence["declared_total"] != frame.height)
