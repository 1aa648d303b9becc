"""The web collector against a real server on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.collectors import web
from service.collectors.html.page import Field
from service.collectors.web import WebCollector
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from tests.unit.collectors.web_source import collector, page, scraped
from tests.unit.network.site import Reply, context, serving

BOOKS = """<html><body>
<article class=book><h2><a href="/b/1"> The
   first </a></h2><p class=price>1&nbsp;€</p><img src="a.png"></article>
<article class=book data-id=7><h2><a href="https://x.test/b/2">Second</a></h2></article>
<article class=book><h2><a>No link</a></h2><p class=price>3 €</p><p class=price>4 €</p></article>
</body></html>"""


def test_reads_text_attributes_and_what_is_missing(tmp_path: Path) -> None:
    selectors = {
        "container": "article.book", "title": "h2 a", "link": "h2 a@href", "price": ".price", "image": "img@src",
        "id": "@data-id", "all": {"selector": ""},
    }  # fmt: skip
    rows, ctx = scraped({"/shop/list": BOOKS}, tmp_path, selectors)
    assert [r["title"] for r in rows] == ["The first", "Second", "No link"]
    assert [r["link"] for r in rows] == ["SITE/b/1", "https://x.test/b/2", None]
    assert [r["price"] for r in rows] == ["1 €", None, "3 €"]
    assert [r["image"] for r in rows] == ["SITE/shop/a.png", None, None]
    assert [r["id"] for r in rows] == [None, "7", None]
    assert rows[1]["all"] == "Second"
    assert ctx.report().warnings == ()


def test_relative_links_stay_when_asked(tmp_path: Path) -> None:
    rows, _ = scraped({"/": BOOKS}, tmp_path, {"container": ".book", "l": "a@href"}, absolute_urls=False)
    assert rows[0]["l"] == "/b/1"


def test_base_href_counts(tmp_path: Path) -> None:
    page = "<base href='/deep/'><div><a href='x'>a</a></div>"
    rows, _ = scraped({"/": page}, tmp_path, {"container": "div", "l": "a@href"})
    assert rows == [{"l": "SITE/deep/x"}]


def test_equal_counts_do_not_mix_up_rows(tmp_path: Path) -> None:
    page = "<div><p>1</p><p>2</p></div><div></div>"  # two containers, two matches, both in the first
    rows, _ = scraped({"/": page}, tmp_path, {"container": "div", "p": "p"})
    assert rows == [{"p": "1"}, {"p": None}]


def test_pages_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PART_ROWS", 2)
    pages: dict[str, str | bytes] = {f"/{i}": f"<p class=c><b>{i}</b></p>" for i in range(7)}
    counted: list[int] = []
    ctx = context(tmp_path, on_rows=counted.append)
    with serving(lambda hit: page(pages[hit.path], "text/html") if hit.path in pages else Reply(b"", 404)) as site:
        settings = collector(url=[site.address + p for p in pages], css_selectors={"container": ".c", "n": "b"})
        frame = asyncio.run(settings.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    assert frame.lazy.collect()["n"].to_list() == [str(i) for i in range(7)]
    assert counted == [1] * 7


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<p>Köln</p>".encode("latin-1"), "text/html; charset=ISO-8859-1"),
        ("<p>Köln</p>".encode("utf-16"), "text/html"),
        (b"<meta charset='windows-1252'><p>" + "Köln".encode("cp1252"), "text/html"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=iso-8859-15'><p>K\xf6ln", "text/html"),
        ("\ufeff<p>Köln</p>".encode(), "text/html; charset=latin-1"),
        ("<meta charset=utf-16><p>Köln</p>".encode(), "text/html"),
        ("<p>Köln</p>".encode(), "text/html; charset=nonsense"),
        ("<p>Köln</p>".encode(), "text/html"),
        ("<p>Köln</p>".encode("cp1252"), "text/html"),
    ],
)
def test_encodings(body: bytes, content_type: str, tmp_path: Path) -> None:
    with serving(lambda hit: Reply(body, headers={"content-type": content_type})) as site:
        frame = asyncio.run(
            collector(url=site.address, css_selectors={"container": "p", "t": {"selector": ""}}).collect(
                context(tmp_path)
            )
        )
    assert isinstance(frame, PolarsFrame)
    assert frame.lazy.collect()["t"].to_list() == ["Köln"]


def test_what_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    rows, ctx = scraped({"/": BOOKS}, tmp_path, {"container": ".book", "title": "h2", "gone": "h9@x"})
    assert [r["gone"] for r in rows] == [None] * 3
    assert [(w.code, w.details["field"]) for w in ctx.report().warnings] == [
        ("selector_matches_nothing", "css_selectors.gone")
    ]
    nothing, ctx = scraped({"/": "<p>"}, tmp_path, {"container": ".book", "title": "h2"})
    assert nothing == []
    assert ctx.report().warnings[0].details["field"] == "css_selectors.container"


@pytest.mark.parametrize("container", [".book", ".none"])
def test_what_is_required_fails(container: str, tmp_path: Path) -> None:
    selectors = {"container": container, "price": {"selector": ".price", "required": True}}
    with pytest.raises(errors.Permanent) as caught:
        scraped({"/": BOOKS}, tmp_path, selectors)
    assert caught.value.details["field"].startswith("css_selectors.")
    assert "row 2 has no 'price'" in caught.value.message or ".none" in caught.value.message


def test_a_page_that_is_too_large_fails(tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="larger than 5242880 bytes"):
        scraped({"/": b"x" * (web.MAX_PAGE_BYTES + 1)}, tmp_path, {"container": "p", "a": "b"})


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"css_selectors": {"container": "div >>", "a": "b"}}, "css_selectors.container"),
        ({"css_selectors": {"a": "b"}}, "css_selectors.container"),
        ({"css_selectors": {"container": {"selector": "p"}, "a": "b"}}, "css_selectors.container"),
        ({"css_selectors": {"container": "p"}}, "css_selectors"),
        ({"css_selectors": {"container": "p", "a": "b["}}, "css_selectors.a"),
        ({"css_selectors": {"container": "p", "a": {"selector": "b::x"}}}, "css_selectors.a"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": ["https://x", "gopher://x"]}, "url[1]"),
        ({"headers": {"a b": "c"}}, "headers.a b"),
    ],
)
def test_problems_are_found_before_any_request(config: dict[str, Any], field: str) -> None:
    base: dict[str, Any] = {"url": "https://x", "css_selectors": {"container": "p", "a": "b"}}
    assert [p.field for p in collector(**{**base, **config}).problems()] == [field]


@pytest.mark.parametrize(
    "config",
    [
        {"concurrency": 0},
        {"table": ""},
        {"url": []},
        {"css_selectors": {"container": "p", "a": "b" * 1001}},
        {"css_selectors": {"container": "p", "a": {"selector": "b", "every": True}}},
    ],
)
def test_what_is_not_built_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        collector(**{"url": "https://x", "css_selectors": {"container": "p", "a": "b"}, **config})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("h2 a", Field(selector="h2 a")),
        ("h2 a@href", Field(selector="h2 a", attribute="href")),
        ("h2 a @data-x", Field(selector="h2 a", attribute="data-x")),
        ("a[href='x@y']", Field(selector="a[href='x@y']")),
        ("@id", Field(selector="", attribute="id")),
    ],
)
def test_the_short_form_of_a_field(text: str, field: Field) -> None:
    settings = collector(url="https://x", css_selectors={"container": "p", "a": text})
    assert settings.fields == {"a": field}


def test_the_example_is_valid() -> None:
    assert list(msgspec.convert(WebCollector.EXAMPLE, WebCollector).problems()) == []


def test_columns_are_text(tmp_path: Path) -> None:
    with serving(lambda hit: page("<p>1</p>", "text/html")) as site:
        settings = collector(url=site.address, css_selectors={"container": "p", "n": {"selector": ""}})
        frame = asyncio.run(settings.collect(context(tmp_path)))
    assert frame.schema == {"n": pl.String}
