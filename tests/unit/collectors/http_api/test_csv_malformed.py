"""Malformed rows of CSV pages: an API's CSV is read as the csv collector reads the same bytes in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.kit import errors
from tests.unit.collectors import csv_source
from tests.unit.collectors.api_source import collector, fetched
from tests.unit.network.site import Answers, Hit, Reply, context

TORN = b"id,note\n1,a\n2,\xe9\n3,c\n"
BODIES = (
    b'id,note\n1,"He said "hello" to me"\n2,b\n',
    b'id,note\n1,"he said \\"hi\\""\n2,b\n',
    b'id,note\n1,a\n"2" "x",b\n3,c\n',
    b"id,note\n1,a\n2\n3,c,d\n4,e\n",
    TORN,
    b'id,note\n1,a\n2,"open\n3,c\n',
    b'"i"d,note\n1,a\n',
    b"id,note\n1,a,\n2,b,\n",
    b"id,note,\n1,a,\n2,b,\n",
    b"id,note,more\n1\n2,b\n3,c,d\n",
    b"sep=,\nid,note\n1,a\n",
)
WAYS = ("fail", "skip", "quarantine", "pad")


def saying(body: bytes) -> Answers:
    return lambda hit: Reply(body, headers={"content-type": "text/csv"})


def outcome(read: Any) -> Any:
    """The rows, and the malformed ones that were counted or kept; or the line at fault."""
    try:
        frame, ctx = read()
    except errors.Permanent as error:
        return error.message.partition("line ")[2].partition(" (")[0]
    kept = [r.file for r in ctx.report().rejected]
    malformed = [pl.read_parquet(ctx.folder / f).drop("_file", "_source") for f in kept if f]
    counts = [w.details["count"] for w in ctx.report().warnings if w.code in ("malformed_rows", "padded_rows")]
    return (
        frame.rows(),
        frame.schema if frame.height else None,
        [r.rows for r in ctx.report().rejected],
        [m.rows() for m in malformed],
        counts,
    )


def same(body: bytes, folder: Path, **config: Any) -> None:
    for name in ("file", "api"):
        (folder / name).mkdir(parents=True)

    def by_api() -> Any:
        frame, _, ctx = fetched(saying(body), folder / "api", response_format="csv", **config)
        return frame, ctx

    assert outcome(by_api) == outcome(lambda: csv_source.read(folder / "file", body, **config))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("trailing", [False, True])
def test_an_api_s_csv_is_read_as_a_file(body: bytes, way: str, trailing: bool, tmp_path: Path) -> None:
    if body != TORN or way in ("skip", "quarantine"):  # else an API's answer is refused as a whole, without a line
        same(body, tmp_path, on_malformed=way, trailing_delimiter=trailing)


@given(
    st.lists(st.text('a1,"\n', max_size=9), min_size=1, max_size=6).map("\n".join), st.sampled_from(WAYS), st.booleans()
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_csv_is_read_as_a_file(tmp_path: Path, text: str, way: str, header: bool) -> None:
    body = b"x,y\n" + text.encode() + b"\n"
    same(body, tmp_path / str(len(list(tmp_path.iterdir()))), on_malformed=way, has_header=header)


def paged(hit: Hit) -> Reply:
    """Nine rows in pages of three by offset; the fifth is malformed."""
    every = [f"{n},n{n}" if n != 5 else "5,n5,more" for n in range(1, 10)]
    begin = int(hit.query.get("offset", 0))
    return Reply("\n".join(["id,name", *every[begin : begin + 3], ""]).encode(), 200, {"X-Total": "9"})


def test_rows_that_are_left_out_move_no_page(tmp_path: Path) -> None:
    pages = {"type": "offset", "total_header": "X-Total"}
    frame, _, ctx = fetched(
        paged, tmp_path, response_format="csv", pagination=pages, on_malformed="skip", completeness="strict"
    )
    report = ctx.report()
    assert frame["id"].to_list() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert (report.evidence["rows"], report.evidence["malformed_rows"], report.evidence["stop_reason"]) == (
        8, 1, "total_reached",
    )  # fmt: skip
    assert [w.code for w in report.warnings] == ["malformed_rows"]
    assert "page 2, line 3: 3 fields where 2 are expected" in report.warnings[0].message


def test_rows_in_quarantine_are_read_again(tmp_path: Path) -> None:
    pages = {"type": "offset", "total_header": "X-Total"}
    _, _, ctx = fetched(paged, tmp_path, response_format="csv", pagination=pages, on_malformed="quarantine")
    kept = ctx.folder / str(ctx.report().rejected[0].file)
    assert pl.read_parquet(kept).select("_file", "_line", "_text").rows() == [("page 2", 3, "5,n5,more")]
    (tmp_path / "again").mkdir()
    mended = collector(
        endpoint="http://x.example", response_format="csv", on_malformed="quarantine", column_names=["id", "name", "x"],
        columns=["id", "name"],
    )  # fmt: skip
    found = mended.again(kept, context(tmp_path / "again"))
    assert found is not None
    assert found.collect().rows() == [(5, "n5")]


@pytest.mark.parametrize("around", [{"incremental": {"cursor_field": "id", "param": "since"}}, {
    "endpoint": "/users/{id}", "for_each": {"collector": "users", "fields": {"id": "id"}}}])  # fmt: skip
def test_quarantine_has_one_list_without_a_memory(around: dict[str, Any]) -> None:
    whole = {"endpoint": "http://x.example", "response_format": "csv", "on_malformed": "quarantine", **around}
    assert [p.field for p in collector(**whole).problems()] == ["on_malformed"]
