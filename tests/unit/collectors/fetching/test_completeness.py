"""What several lists say together for having brought everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.collectors.fetching.completeness import Evidence, EvidenceTotal
from service.kit import errors
from tests.unit.network.site import context


def test_what_declares_no_total_is_taken_at_its_word(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    whole = EvidenceTotal(ctx, "warn")
    whole.add(Evidence(pages=1, rows=3, declared_total=3, stop_reason="total"), "1")
    whole.add(Evidence(pages=2, rows=4, stop_reason="empty_page"), "2")
    whole.finish(several=True)
    evidence = ctx.report().evidence
    assert (evidence["declared_total"], evidence["rows"], evidence["pages"]) == (7, 7, 3)
    assert (evidence["stop_reason"], ctx.report().warnings, whole.cut) == ("several", (), set())


def test_rows_that_came_again_are_counted_over_all_lists(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    whole = EvidenceTotal(ctx, "warn")
    for key, repeated in (("1", 2), ("2", 3), ("3", 0)):
        whole.add(Evidence(rows=5, repeated_rows=repeated, stop_reason="no_next"), key)
    whole.finish(several=True)
    (warning,) = ctx.report().warnings
    assert (warning.code, warning.details["rows"], ctx.report().evidence["repeated_rows"]) == ("rows_repeated", 5, 5)


@pytest.mark.parametrize(
    ("one", "cut"),
    [
        (Evidence(rows=3, stop_reason="max_pages"), True),
        (Evidence(rows=3, stop_reason="repeated_page"), True),
        (Evidence(rows=3, stop_reason="sampled"), True),
        (Evidence(rows=3, declared_total=4, stop_reason="no_next"), True),
        (Evidence(rows=4, declared_total=3, stop_reason="no_next"), False),
        (Evidence(rows=3, declared_total=3, stop_reason="no_next"), False),
        (Evidence(rows=3, stop_reason="no_next"), False),
    ],
)
def test_a_list_that_was_not_read_to_its_end_is_named(one: Evidence, cut: bool, tmp_path: Path) -> None:
    """Its cursor must not move on: what was not read would never be asked for again."""
    whole = EvidenceTotal(context(tmp_path), "warn")
    whole.add(one, "this")
    assert whole.cut == ({"this"} if cut else set())


@pytest.mark.parametrize(("rows", "refused"), [(3, True), (4, False), (5, False)])
def test_only_a_shortfall_is_refused_where_strict(rows: int, refused: bool, tmp_path: Path) -> None:
    ctx = context(tmp_path)
    whole = EvidenceTotal(ctx, "strict")
    one = Evidence(rows=rows, declared_total=4, stop_reason="no_next")
    if refused:
        with pytest.raises(errors.Permanent, match=r"4 records of x and sent 3.*completeness is strict"):
            whole.add(one, label="x")
        return
    whole.add(one, label="x")
    whole.finish(several=False)
    assert [w.code for w in ctx.report().warnings] == (["total_differs"] if rows > 4 else [])
