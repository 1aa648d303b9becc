"""What a page hides is not read, and what is not HTML is refused with its kind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.collectors.html import markup_kind
from service.kit import errors
from tests.unit.collectors.web_source import collector, page, scraped
from tests.unit.network.site import context, serving

CELL = {"container": "tr", "v": "td"}


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<span style="display:none">7001</span>12,345', "12,345"),
        ('<span style="color:red; DISPLAY : none !important">7001</span>12,345', "12,345"),
        ('<span style="display:none;display:inline">7</span>12', "712"),
        ("<span hidden>7001</span>12,345", "12,345"),
        ('<b hidden="until-found">7001</b>12,345', "12,345"),
        ('<i style="visibility: hidden">7001</i>12,345', "12,345"),
        ('<b style="display:none/* x */">7001</b>12', "12"),
        ('<b style="/* x */display:none">7001</b>12', "12"),
        ('<b style="display:&#110;one">7001</b>12', "12"),
        ("<noscript>enable scripts</noscript>12", "12"),
        ("<svg><title>Arrow</title><desc>An arrow</desc><path d=''/></svg>12", "12"),
        ("<template><b>new</b></template>12", "12"),
        ("<script>x()</script><style>td{}</style>12", "12"),
        ("<ruby>\u6f22<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "\u6f22kan"),
        ("<dialog>Really?</dialog>12", "12"),
        ("<dialog open>Really?</dialog>12", "Really?12"),
        ("<a title='hidden'>not hidden</a>", "not hidden"),
        ('<span style="text-align:none">7</span>', "7"),
    ],
)
def test_hidden_text_is_no_value(cell: str, text: str, tmp_path: Path) -> None:
    html = f"<table><tr><td>{cell}</td></tr></table>"
    rows, _ = scraped({"/": html}, tmp_path, CELL)
    assert rows == [{"v": text}]
    (tmp_path / "table").mkdir()
    rows, _ = scraped({"/": f"<table id=t><tr><th>v</th></tr>{html[7:]}"}, tmp_path / "table", {}, table="#t")
    assert rows == [{"v": text}]


def test_hidden_text_is_read_if_it_is_wanted(tmp_path: Path) -> None:
    html = '<table><tr hidden><td>1</td></tr><tr><td><s style="display:none">7</s>2</td></tr></table>'
    assert scraped({"/": html}, tmp_path, CELL, include_hidden=True)[0] == [{"v": "1"}, {"v": "72"}]


@pytest.mark.parametrize("config", [{"selectors": CELL}, {"selectors": {}, "table": "table"}])
def test_hidden_rows_are_counted(config: dict[str, Any], tmp_path: Path) -> None:
    html = "<table><tr><th>v</th></tr><tr hidden><td>1</td></tr><tr style='display: none'><td>2</td></tr><tr><td>3</td>"
    rows, ctx = scraped(
        {"/": html.replace("<tr><th>v</th></tr>", "") if config["selectors"] else html}, tmp_path, **config
    )
    assert rows == [{"v": "3"}]
    (warning,) = ctx.report().warnings
    assert (warning.code, warning.details) == ("hidden_rows", {"rows": 2})


def test_a_hidden_group_of_rows_is_left_out(tmp_path: Path) -> None:
    html = "<div hidden><table><tr><th>v</th></tr><tbody hidden><tr><td>1</td></tr></tbody><tbody><tr><td>2</td></tr>"
    rows, ctx = scraped({"/": html}, tmp_path, {}, table="table")
    assert rows == [{"v": "2"}]  # a table inside a hidden element was chosen, as one of a tab that is not open
    assert [w.details for w in ctx.report().warnings] == [{"rows": 1}]


def test_a_row_inside_a_hidden_element_is_left_out_beside_others(tmp_path: Path) -> None:
    hidden = "<div style='display:none'><p class=r><b>1</b></p></div>"
    selectors = {"container": ".r", "v": "b"}
    rows, ctx = scraped({"/": f"{hidden}<p class=r><b>2</b></p>"}, tmp_path, selectors)
    assert (rows, [w.details for w in ctx.report().warnings]) == ([{"v": "2"}], [{"rows": 1}])
    (tmp_path / "all").mkdir()
    assert scraped({"/": hidden * 2}, tmp_path / "all", selectors)[0] == [{"v": "1"}] * 2  # a tab that is not open


def test_hidden_cells_do_not_shift_the_columns(tmp_path: Path) -> None:
    html = (
        "<table><tr><th>a</th><th hidden>key</th><th>b</th></tr><tr><td>1</td>"
        "<td style='display:none'>9</td><td>2</td></tr>"
        "<tr><td style='visibility:hidden'>1</td><td hidden>9</td><td>3</td></tr></table>"
    )
    rows, _ = scraped({"/": html}, tmp_path, {}, table="table")
    assert rows == [{"a": "1", "b": "2"}, {"a": "", "b": "3"}]


def test_a_field_prefers_what_is_shown(tmp_path: Path) -> None:
    html = "<li><i class=p hidden>old</i><i class=p>new</i><b class=q hidden>key</b></li>" * 2
    rows, _ = scraped({"/": html}, tmp_path, {"container": "li", "p": ".p", "q": ".q"})
    assert rows == [{"p": "new", "q": "key"}] * 2  # a selector for hidden elements only means them


RSS = "<?xml version='1.0'?><!-- x --><rss version='2.0'><channel><item><link>https://x.test</link></item></channel></rss>"


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (RSS, "text/html", "an RSS feed (XML)"),
        (RSS.partition("?>")[2], "text/html", "an RSS feed (XML)"),
        ("\ufeff" + RSS, "application/rss+xml", "an RSS feed (XML)"),
        ('<feed xmlns="http://www.w3.org/2005/Atom"><entry/></feed>', "text/html", "an Atom feed (XML)"),
        ('<?xml version="1.0"?><urlset><url/></urlset>', "application/xml", "a sitemap (XML)"),
        ("<catalog><book/></catalog>", "application/xml; charset=utf-8", "XML with the root element <catalog>"),
        ("<?xml version='1.0'?>\n<catalog><book/></catalog>", "text/html", "XML with the root element <catalog>"),
        ('<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/"/>', "text/html", "a SOAP envelope (XML)"),
        (RSS.encode("utf-16"), "text/xml", "an RSS feed (XML)"),
        ("<data><item><link>https://x.test</link></item></data>", "text/html", "XML with the root element <data>"),
        ('{"items": [1]}', "application/json", "JSON (read it with the api collector)"),
        ("%PDF-1.7", "text/html", "a PDF"),
    ],
)
def test_what_is_not_html_is_refused_with_its_kind(
    body: str | bytes, content_type: str, said: str, tmp_path: Path
) -> None:
    with serving(lambda hit: page(body, content_type)) as site:
        settings = collector(url=site.address, css_selectors={"container": "item", "l": "link"}, respect_robots=False)
        with pytest.raises(errors.Permanent) as caught:
            asyncio.run(settings.collect(context(tmp_path)))
    assert f"this is {said}, not an HTML page" in caught.value.message
    assert caught.value.details["field"] == "url"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (
            '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C"><html xmlns="x"><p>',
            "application/xhtml+xml",
        ),
        ('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><p>', "text/xml"),
        ("<!-- <rss> --><!doctype html><p>", "text/html"),
        ("<app-root><p>", "text/html"),
        ("<svg viewBox='0 0 1 1' xmlns='http://www.w3.org/2000/svg'/><p>x", "text/html"),
        ("plain text", "text/html"),
        ("", "text/html"),
        ("{ not json <p>", "text/html"),
    ],
)
def test_html_in_other_dress_is_read(body: str, content_type: str) -> None:
    assert markup_kind.foreign(body.encode(), content_type) is None
