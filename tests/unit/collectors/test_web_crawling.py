"""How the web collector moves: next pages, robots.txt, politeness, pages at once; and what it takes: lists, tables."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from service.collectors.html import page as markup
from service.collectors.html import tables
from service.collectors.html.page import Page
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.context import CollectContext
from tests.examples import examples
from tests.unit.collectors.http_api.faulty_source import ALWAYS, FAULTS, faulty
from tests.unit.collectors.web_source import collector
from tests.unit.network.site import Hit, Reply, Site, context, serving

ROWS = {"container": "p", "n": "b"}
Pages = dict[str, str] | Callable[[Hit], Reply]


def answering(pages: Pages) -> Callable[[Hit], Reply]:
    if callable(pages):
        return pages
    return lambda hit: Reply(pages[hit.target].encode()) if hit.target in pages else Reply(b"no", 404)


def crawl(
    pages: Pages, folder: Path, start: str | list[str] = "/1", **config: Any
) -> tuple[pl.DataFrame, Site, CollectContext]:
    ctx = context(folder)
    config.setdefault("css_selectors", {} if "table" in config else ROWS)
    with serving(answering(pages)) as site:
        url = site.address + start if isinstance(start, str) else [site.address + s for s in start]
        chosen = collector(url=url, retry={"max_attempts": 2, "initial_delay_seconds": 0}, **config)
        assert list(chosen.problems()) == []
        frame = asyncio.run(chosen.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming"), site, ctx


def refusal(pages: Pages, folder: Path, **more: Any) -> errors.StepError:
    with pytest.raises(errors.StepError) as caught:
        crawl(pages, folder, **more)
    return caught.value


def chain(n: int, to: str) -> str:
    return f"<p><b>{n}</b></p><a class=next href='{to}'>next</a>"


def test_the_next_page_is_followed_to_the_end(tmp_path: Path) -> None:
    pages = {"/1": chain(1, "2?x=1#top"), "/2?x=1": chain(2, "/3"), "/3": "<p><b>3</b></p>"}
    found, site, ctx = crawl(pages, tmp_path, next_page="a.next")
    assert found["n"].to_list() == ["1", "2", "3"]
    assert [hit.target for hit in site.hits] == ["/robots.txt", "/1", "/2?x=1", "/3"]
    assert ctx.report().evidence["pages"] == 3
    assert ctx.report().evidence["stop_reason"] == "no_next"
    found, _, ctx = crawl(pages, tmp_path, next_page="a.next@href", max_pages=2)
    assert (found["n"].to_list(), ctx.report().evidence["stop_reason"]) == (["1", "2"], "max_pages")


@pytest.mark.parametrize("to", ["/1", "/2", "#", "/2#again"])
def test_pages_that_lead_back_end_with_a_warning(to: str, tmp_path: Path) -> None:
    pages = {"/1": chain(1, "/2"), "/2": chain(2, to)}
    found, _, ctx = crawl(pages, tmp_path, next_page="a.next")
    assert found["n"].to_list() == ["1", "2"]
    assert [w.code for w in ctx.report().warnings] == ["page_repeated"]
    assert ctx.report().evidence["stop_reason"] == "repeated_page"


def test_a_site_that_answers_its_last_page_for_ever_is_left(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.path[1:]) if hit.path != "/robots.txt" else 0
        return Reply(f"<h1>Page {page}</h1>{chain(min(page, 3), f'/{page + 1}')}".encode())

    found, _, ctx = crawl(answer, tmp_path, next_page="a.next")
    assert found["n"].to_list() == ["1", "2", "3"]
    assert [w.code for w in ctx.report().warnings] == ["page_repeated"]
    assert (ctx.report().evidence["stop_reason"], ctx.report().evidence["pages"]) == ("repeated_page", 4)


def test_pages_with_like_rows_are_not_taken_for_one(tmp_path: Path) -> None:
    pages = {f"/{i}": f"<h1>{word}</h1>{chain(7, f'/{i + 1}')}" for i, word in enumerate(("one", "two", "three"))}
    pages["/3"] = "<i>the end</i>"
    found, _, ctx = crawl(pages, tmp_path, start="/0", next_page="a.next")
    assert found["n"].to_list() == ["7", "7", "7"]
    assert (ctx.report().evidence["stop_reason"], ctx.report().evidence["repeated_rows"]) == ("no_next", 2)


def test_a_next_page_that_no_page_has_is_a_warning_with_a_hint(tmp_path: Path) -> None:
    pages = {"/1": "<p><b>1</b></p>", "/2": "<p><b>2</b></p>"}
    found, _, ctx = crawl(pages, tmp_path, start=["/1", "/2"], next_page="a.gone")
    assert found["n"].to_list() == ["1", "2"]
    (warning,) = ctx.report().warnings
    assert (warning.code, warning.details["field"]) == ("selector_matches_nothing", "next_page")
    assert "'a.gone' (next_page) matches nothing on any of the 2 pages; compare it with" in warning.message


@pytest.mark.parametrize("to", ["javascript:more()", "mailto:a@b", "ftp://x/y", "http://u:p@127.0.0.1/"])
def test_links_that_are_no_pages_end_it(to: str, tmp_path: Path) -> None:
    found, _, _ = crawl({"/1": chain(1, to)}, tmp_path, next_page="a.next")
    assert found["n"].to_list() == ["1"]


def test_the_next_page_on_another_host_gets_no_headers(tmp_path: Path) -> None:
    with serving(answering({"/2": "<p><b>2</b></p>"})) as other:
        pages = {"/1": chain(1, f"{other.address}/2")}
        found, site, _ = crawl(pages, tmp_path, next_page="a.next", headers={"X-Key": "k"})
        assert found["n"].to_list() == ["1", "2"]
        assert site.hits[-1].headers["x-key"] == "k"
        assert all("x-key" not in hit.headers for hit in other.hits)
    with pytest.raises(errors.Permanent, match="refused"):
        crawl({"/1": chain(1, "http://169.254.169.254/latest")}, tmp_path, next_page="a.next")


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        ("User-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /\nAllow: /1", True),
        ("User-agent: penstock\nDisallow: /1\n\nUser-agent: *\nAllow: /", False),
        ("User-agent: other\nDisallow: /", True),
        ("User-agent: *\nDisallow: /*1$", False),
        ("", True),
    ],
)
def test_robots_are_kept_to(robots: str, allowed: bool, tmp_path: Path) -> None:
    pages = {"/robots.txt": robots, "/1": "<p><b>1</b></p>"}
    if allowed:
        assert crawl(pages, tmp_path)[0].height == 1
        return
    error = refusal(pages, tmp_path)
    assert "robots.txt does not allow" in error.message
    assert error.details["field"] == "respect_robots"
    found, site, _ = crawl(pages, tmp_path, respect_robots=False)
    assert (found.height, [h.path for h in site.hits]) == (1, ["/1"])


def test_redirects_lead_nowhere_that_robots_forbid(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        if hit.path == "/robots.txt":
            return Reply(b"User-agent: *\nDisallow: /private")
        moved = {"/1": "/2", "/2": "/private/1", "/5": "/6"}
        if hit.path in moved:
            return Reply(b"", 302, {"location": moved[hit.path]})
        return Reply(b"<p><b>x</b></p>")

    error = refusal(answer, tmp_path)
    assert "/private/1: the site's robots.txt does not allow" in error.message
    assert crawl(answer, tmp_path, start="/5")[0].height == 1
    found, site, _ = crawl(answer, tmp_path, respect_robots=False)
    assert (found.height, [h.path for h in site.hits]) == (1, ["/1", "/2", "/private/1"])


def test_robots_are_asked_once(tmp_path: Path) -> None:
    pages = {f"/{i}": f"<p><b>{i}</b></p>" for i in range(6)}
    _, site, _ = crawl(pages, tmp_path, start=list(pages), concurrency=4)
    assert [hit.path for hit in site.hits].count("/robots.txt") == 1


def test_a_delay_that_nobody_can_wait_for_is_refused(tmp_path: Path) -> None:
    pages = {"/robots.txt": "User-agent: *\nCrawl-delay: 86400", "/1": "<p><b>1</b></p>"}
    error = refusal(pages, tmp_path)
    assert "asks for 86400 s between two requests" in error.message
    assert error.details["field"] == "respect_robots"


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False), (503, False)])
def test_robots_that_cannot_be_read(status: int, allowed: bool, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply(b"Disallow: /", status) if hit.path == "/robots.txt" else Reply(b"<p><b>1</b></p>")

    if allowed:
        assert crawl(answer, tmp_path)[0].height == 1
    else:
        assert "/robots.txt" in refusal(answer, tmp_path).message


def test_the_delay_of_the_site_and_our_own_are_kept(tmp_path: Path) -> None:
    pages = {f"/{i}": f"<p><b>{i}</b></p>" for i in range(4)}
    for robots, config in (("User-agent: *\nCrawl-delay: 0.08", {}), ("", {"delay_seconds": 0.08})):
        began = time.perf_counter()
        found, _, _ = crawl({**pages, "/robots.txt": robots}, tmp_path, start=list(pages), concurrency=4, **config)
        assert time.perf_counter() - began >= 0.08 * 3
        assert found["n"].to_list() == ["0", "1", "2", "3"]


def test_pages_of_a_list_are_fetched_at_once_and_kept_in_order(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=60)

    def answer(hit: Hit) -> Reply:
        if hit.path == "/robots.txt":
            return Reply(b"", 404)
        together.wait()  # three requests must be on their way at the same time
        return Reply(f"<p><b>{hit.path[1:]}</b></p>".encode())

    found, _, _ = crawl(answer, tmp_path, start=[f"/{i}" for i in range(9)], concurrency=3)
    assert found["n"].to_list() == [str(i) for i in range(9)]


def test_one_page_that_fails_fails_the_run(tmp_path: Path) -> None:
    pages = {f"/{i}": "<p><b>x</b></p>" for i in (0, 2, 3)}
    assert "404" in refusal(pages, tmp_path, start=[f"/{i}" for i in range(4)], concurrency=4).message


def test_many_patterns_and_attributes(tmp_path: Path) -> None:
    page = "<p>Price: 12,50 EUR <a href=/a>x</a><a href=b>y</a><i></i></p><p>free</p>"
    fields = {
        "container": "p",
        "links": {"selector": "a", "attribute": "href", "many": True},
        "price": {"selector": "", "pattern": r"(\d+,\d+)"},
        "word": {"pattern": r"[A-Z]\w+"},
    }
    found, site, _ = crawl({"/1": page}, tmp_path, css_selectors=fields)
    assert found.schema == {"links": pl.List(pl.String), "price": pl.String, "word": pl.String}
    assert found.rows() == [([site.address + "/a", site.address + "/b"], "12,50", "Price"), ([], None, None)]
    required = {"container": "p", "price": {"pattern": r"\d+", "required": True}}
    assert "row 2 has no 'price'" in refusal({"/1": page}, tmp_path, css_selectors=required).message
    missing = {"container": "p", "i": {"selector": "u", "many": True, "required": True}}
    assert "row 1 has no 'i'" in refusal({"/1": page}, tmp_path, css_selectors=missing).message


def test_a_pattern_that_finds_nothing_is_named_beside_its_selector(tmp_path: Path) -> None:
    fields = {"container": "p", "n": {"selector": "b", "pattern": "[0-9]+"}}
    _, _, ctx = crawl({"/1": "<p><b>x</b></p>"}, tmp_path, css_selectors=fields, max_lost_share=1)
    assert "'b' (n) with the pattern '[0-9]+' matches nothing" in ctx.report().warnings[0].message


def test_values_without_the_pattern_are_counted_and_bounded(tmp_path: Path) -> None:
    pages = {"/1": "<p><b>1 EUR</b></p><p><b>free</b></p><p><b></b></p><p></p>", "/2": "<p><b>3</b></p><p><b>4</b></p>"}
    fields = {"container": "p", "n": {"selector": "b", "pattern": "[0-9]+"}}
    found, _, ctx = crawl(pages, tmp_path, start=list(pages), css_selectors=fields)
    assert found["n"].to_list() == ["1", None, None, None, "3", "4"]
    (lost,) = [w for w in ctx.report().warnings if w.code == "values_lost"]
    assert lost.details == {
        "setting": "css_selectors", "column": "n", "count": 1, "known": 4, "share": 0.25, "samples": ["free"]
    }  # fmt: skip
    error = refusal(pages, tmp_path, start=list(pages), css_selectors=fields, max_lost_share=0.2)
    assert "1 of 4 values (25.0%, first 'free')" in error.message
    assert error.details["field"] == "css_selectors.n"


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    found, _, _ = crawl({"/1": "<table><tr><th>a<th>b</table>"}, tmp_path, table="table")
    assert found.schema == {"a": pl.String, "b": pl.String}


def test_a_page_that_is_not_all_of_its_encoding_is_a_warning(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply(b"<p><b>\xe9</b></p>", 200, {"content-type": "text/html; charset=utf-8"})

    found, _, ctx = crawl(answer, tmp_path, respect_robots=False)
    assert found["n"].to_list() == ["\ufffd"]
    assert "has bytes that are not valid utf-8" in ctx.report().warnings[0].message


def table(html: str) -> tuple[list[str], list[list[str | None]]]:
    page = Page(LexborHTMLParser(html.encode()), "")
    found = page.tree.css_first("table")
    assert found is not None
    return tables.read(found, page)


@pytest.mark.parametrize(
    ("html", "names", "rows"),
    [
        ("<tr><th>a<th>b<tr><td>1<td> 2  x", ["a", "b"], [["1", "2 x"]]),
        ("<thead><tr><th>a</thead><tbody><tr><td>1</tbody><tfoot><tr><td>sum</tfoot>", ["a"], [["1"]]),
        (
            "<thead><tr><th colspan=2>q<th rowspan=2>z<tr><th>a<th>b</thead><tr><td>1<td>2<td>3",
            ["q a", "q b", "z"],
            [["1", "2", "3"]],
        ),
        (
            "<tr><td rowspan=2>z<td colspan=2>q<tr><td>a<td>b<tr><td>1<td>2<td>3",
            ["z", "q a", "q b"],
            [["1", "2", "3"]],
        ),
        ("<tr><th colspan=2>q<tr><th>a<th>b<tr><th>1<td>2", ["q a", "q b"], [["1", "2"]]),
        ("<tr><th>a<tr><th>b<tr><th>c", ["a"], [["b"], ["c"]]),
        ("<tr><td rowspan=2>a<td>b<tr><td>c", ["a", "b"], [["c", None]]),
        ("<tr><td>a<td>b<tr><td rowspan=2>1<td>2<tr><td>3", ["a", "b"], [["1", "2"], ["1", "3"]]),
        ("<tr><td>a<td>b<tr><td>1<td rowspan=3>2<tr><td>3<tr><td>4", ["a", "b"], [["1", "2"], ["3", "2"], ["4", "2"]]),
        (
            "<tr><td>a<td>b<td>c<tr><td>1<td rowspan=2>2<td>3<tr><td colspan=3>4",
            ["a", "b", "c"],
            [["1", "2", "3"], ["4", "4", "4"]],
        ),
        (
            "<tr><td>a<td>a<td><tr><td>1<tr><td>1<td>2<td>3<td>4",
            ["a", "a_2", "column_3", "column_4"],
            [["1", None, None, None], ["1", "2", "3", "4"]],
        ),
        ("<tr><td>a<tr><td>1<table><tr><td>inner</table>", ["a"], [["1 inner"]]),
        ("<tr><td>a<td>b<tr><td>1<td rowspan=9>2<tr>", ["a", "b"], [["1", "2"], [None, "2"]]),
        ("<tr><th>a<tr><td colspan=x rowspan=-1>1", ["a"], [["1"]]),
        ("<tr><td>a<td>b<tr><td rowspan=0>1<td>2<tr><td>3", ["a", "b"], [["1", "2"], ["1", "3"]]),
        ("<tr><th>a<tr><th rowspan=2>b<tr></tr><tr><td>1<tr></tr><tr><td>2", ["a b"], [["1"], ["2"]]),
        (
            "<thead><tr><th>a<th>b<tbody><tr><td rowspan=5>1<td>2<tbody><tr><td>3<td>4",
            ["a", "b"],
            [["1", "2"], ["3", "4"]],
        ),
        ("", [], []),
    ],
)
def test_tables(html: str, names: list[str], rows: list[list[str | None]]) -> None:
    assert table(f"<table>{html}</table>") == (names, rows)


def test_a_table_cannot_be_made_endless() -> None:
    names, rows = table("<table>" + "<tr><td colspan=99999 rowspan=99999>x" * 50 + "</table>")
    assert len(names) <= tables.MAX_COLUMNS
    assert len(rows) == 49


def test_tables_of_several_pages_unite_by_name(tmp_path: Path) -> None:
    pages = {
        "/1": "<table class=t><tr><th>a<th>b<tr><td>1<td>2</table>",
        "/2": "<table class=t><tr><th>b<tr><td>3</table>",
    }
    found, _, ctx = crawl(pages, tmp_path, start=["/1", "/2"], table="table.t")
    assert found.to_dicts() == [{"a": "1", "b": "2"}, {"a": None, "b": "3"}]
    assert ctx.report().evidence["rows"] == 2
    error = refusal(pages, tmp_path, table="table.missing")
    assert "matches nothing" in error.message
    assert error.details["field"] == "table"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<div>" * 20_000, "stay open"),
        (b"<p " + b" ".join(b"a%d=1" % i for i in range(6_000)) + b">", "attributes"),
        (b"<p><b>1</b></p>" * 40_000, None),
        (b"<li>x" * 40_000 + b"<br><img src=x>" * 40_000, None),
        (b'<img src="data:' + b"A" * 500_000 + b'">', None),
    ],
)
def test_pages_that_would_keep_the_parser_busy_are_refused(body: bytes, said: str | None, tmp_path: Path) -> None:
    assert (markup.hostile(body) or "none").count(said or "none") == 1
    if said:
        assert said in refusal(lambda hit: Reply(body), tmp_path, respect_robots=False).message


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({"table": "t", "css_selectors": ROWS}, ["table"]),
        ({"table": "t["}, ["table"]),
        ({"css_selectors": ROWS, "next_page": "a["}, ["next_page"]),
        ({"css_selectors": ROWS, "max_pages": 3}, ["max_pages"]),
        ({"css_selectors": ROWS, "concurrency": 3}, ["concurrency"]),
        ({"css_selectors": {"container": "p", "a": {"pattern": "("}}}, ["css_selectors.a.pattern"]),
        ({}, ["css_selectors.container", "css_selectors"]),
    ],
)
def test_problems(config: dict[str, Any], fields: list[str]) -> None:
    assert [p.field for p in collector(url="https://a.example/", **config).problems()] == fields


@examples(15)
@given(st.dictionaries(st.integers(0, 8), st.sampled_from([*FAULTS, ALWAYS]), max_size=6), st.sampled_from([1, 3]))
def test_faults_change_no_row_of_a_list_of_pages(faults: dict[int, str], concurrency: int) -> None:
    left = dict(faults)

    def answer(hit: Hit) -> Reply:
        if hit.path == "/robots.txt":
            return Reply(b"", 404)
        number = int(hit.path[1:])
        good = Reply(f"<p><b>{number}</b></p>".encode())
        kind = left.get(number) if faults.get(number) == ALWAYS else left.pop(number, None)
        return good if kind is None else faulty(kind, good)

    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Any] = {"start": [f"/{n}" for n in range(9)], "concurrency": concurrency}
        if ALWAYS in faults.values():
            assert isinstance(refusal(answer, Path(folder), **ways), errors.Transient)
            return
        found, _, ctx = crawl(answer, Path(folder), **ways)
        assert found["n"].to_list() == [str(n) for n in range(9)]
        assert ctx.report().evidence["retries"] == len(faults)
