"""Well-known APIs, end to end: their settings collect every record, and without their last word too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.collectors.api_source import fetched
from tests.unit.collectors.known_sources import COUNT, KNOWN
from tests.unit.collectors.more_sources import MORE


@pytest.mark.parametrize("name", [*KNOWN, *MORE])
def test_every_record_comes_once(name: str, tmp_path: Path) -> None:
    known = {**KNOWN, **MORE}[name]
    config = {**known.request, **known.config, "completeness": "strict"}
    frame, _, ctx = fetched(known.answers(), tmp_path, **config)
    report = ctx.report()
    assert frame[known.id_column].to_list() == list(range(1, COUNT + 1))
    assert report.warnings == ()
    assert report.evidence["declared_total"] == (COUNT if known.total else None)


@pytest.mark.parametrize("name", [*KNOWN, *MORE])
def test_one_page_of_it_is_not_taken_for_everything(name: str, tmp_path: Path) -> None:
    known = {**KNOWN, **MORE}[name]
    config: dict[str, Any] = {**known.request, **known.config, "pagination": "none"}
    _, _, ctx = fetched(known.answers(), tmp_path, **config)
    silent = name == "socrata"  # a bare array
    assert [w.code for w in ctx.report().warnings] == ([] if silent else ["more_pages"])


def test_a_page_past_the_end_is_the_end_without_the_total(tmp_path: Path) -> None:
    known = KNOWN["wordpress"]
    frame, _, ctx = fetched(known.answers(), tmp_path, pagination={"type": "page"})
    report = ctx.report()
    assert frame.height == COUNT
    assert (report.evidence["stop_reason"], report.evidence["end_status"]) == ("past_the_end", 400)
    assert "larger than the number of pages" in report.evidence["end_message"]
    assert report.warnings == ()  # the page before was a short one


def test_a_refusal_after_full_pages_is_doubted(tmp_path: Path) -> None:
    known = KNOWN["elasticsearch"]
    config = {**known.request, "records_path": "hits.hits"}
    kind = {"type": "offset", "offset_param": "from", "limit_param": "size", "in": "body"}
    with pytest.raises(Exception, match="Result window is too large"):
        fetched(known.answers(), tmp_path, pagination=kind, **config)
