"""Pages of HTML: what repeats in them, the selectors for it, the next page, and what robots.txt says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from service.collectors.html.page import Page
from service.probing import structures
from service.probing.finding import Finding
from tests.unit.network.site import Hit, Reply, Site, serving
from tests.unit.probing.probes import SECRETS, collected, looked, refused

BOOK = """<li class="col-xs-6"><article class="product" data-sku="s{i}"><div class="image"><a href="/b/{i}">
<img src="m/{i}.jpg" alt="Book {i}" class="thumb"></a></div>
<h3><a href="/b/{i}" title="The whole title {i}">The wh…</a></h3>
<p class="price">£{i}.99</p><time datetime="2026-01-{i:02d}">in January</time><form><button>Buy</button></form>
<div class="tags"><a class="tag">t{i}</a> <a class="tag">all</a></div></article></li>"""
MENU = "<nav><ul class=menu>" + "".join(f'<li><a href="/{i}">Part {i}</a></li>' for i in range(3)) + "</ul></nav>"
TABLE = "<table{more}><tr><th>Name<th>Born</tr>{rows}</table>"
CELLS = "".join(f"<tr><td>Person {i}<td>{1900 + i}</tr>" for i in range(5))


def shop(first: int, last: int, after: str = "") -> str:
    books = "".join(BOOK.format(i=i) for i in range(first, last))
    return f'<!doctype html><html><body>{MENU}<ol class="row">{books}</ol>{after}</body></html>'


def page(html: str) -> Page:
    return Page(LexborHTMLParser(html.encode()), "https://x.test/shop/")


def probed(pages: dict[str, str], folder: Path, **asked: Any) -> tuple[Finding, Site]:
    """What a probe of ``/`` finds on a site of these pages."""

    def answer(hit: Hit) -> Reply:
        kind = "text/plain" if hit.path == "/robots.txt" else "text/html"
        return (
            Reply(pages[hit.target].encode(), headers={"content-type": kind})
            if hit.target in pages
            else Reply(b"", 404)
        )

    with serving(answer) as site:
        found = looked(folder / "probe", url=site.address + "/", **asked)
        if found.collector is not None and found.sample_rows:
            rows = collected(found.collector, folder / "run")
            assert rows.height >= found.sample_rows
    return found, site


def test_a_list_of_things_and_the_selectors_of_their_fields() -> None:
    best, *others = structures.found_structures(page(shop(1, 21)))
    assert best.rows == 20
    assert best.css_selectors["container"] == "article.product"
    assert best.sample[0] == {
        "sku": "s1",
        "link": "https://x.test/b/1", "thumb": "https://x.test/shop/m/1.jpg", "thumb_alt": "Book 1",
        "link_title": "The whole title 1", "link_text": "The wh…", "price": "£1.99", "time": "2026-01-01",
        "time_2": "in January", "tag": ["t1", "all"],
    }  # fmt: skip
    assert best.css_selectors["tag"] == {"selector": "a.tag", "many": True}
    assert best.css_selectors["price"] == "p.price"
    assert len(best.sample) == structures.SHOWN_ROWS
    assert all(other.rows != 20 for other in others)  # the same rows by another selector are not a finding
    assert any(set(o.css_selectors.values()) & {"a@href", "@href"} for o in others)  # the menu, after it


def test_menus_and_single_things_are_not_taken_for_rows() -> None:
    assert structures.found_structures(page("<body><p>One</p><p>Two</p></body>")) == []
    found = structures.found_structures(page(shop(1, 5)))
    assert found[0].css_selectors["container"] == "article.product"


def test_fields_by_their_microdata() -> None:
    item = (
        '<div class="q"><span itemprop="author">A{i}</span><meta itemprop="dateCreated" content="2026-01-0{i}"></div>'
    )
    best = structures.found_structures(page("".join(item.format(i=i) for i in range(1, 7))))[0]
    assert best.css_selectors == {
        "container": "div.q", "author": 'span[itemprop="author"]',
        "date_created_content": 'meta[itemprop="dateCreated"]@content',
    }  # fmt: skip


def test_tables_with_a_selector_that_finds_each_alone() -> None:
    html = TABLE.format(more="", rows=CELLS) + TABLE.format(more=' id="people"', rows=CELLS * 2)
    html += f"<div>{TABLE.format(more=' class=x', rows=CELLS)}</div>" + TABLE.format(more="", rows="")
    tree = page(html).tree
    found = structures.found_tables(page(html))
    assert [(t.rows, t.columns) for t in found] == [
        (10, ["Name", "Born"]),
        (5, ["Name", "Born"]),
        (5, ["Name", "Born"]),
    ]
    assert found[0].selector == "table#people"
    assert all(len(tree.css(t.selector)) == 1 for t in found)
    assert len({t.selector for t in found}) == 3
    assert found[0].sample[0] == {"Name": "Person 0", "Born": "1900"}


def test_a_page_with_a_table(tmp_path: Path) -> None:
    found, site = probed({"/": f"<html><body>{MENU}{TABLE.format(more='', rows=CELLS)}"}, tmp_path)
    assert found.format == "html"
    assert found.collector == {"type": "web", "url": site.address + "/", "table": "table"}
    assert found.robots is not None
    assert (found.robots.allowed, found.robots.delay_seconds) == (True, 0.0)
    assert [(c.name, c.samples[:1]) for c in found.columns] == [("Name", ["Person 0"]), ("Born", ["1900"])]
    assert found.primary_keys[0].columns == ["Name"]


def test_the_next_page_is_followed_where_it_has_more_of_the_same(tmp_path: Path) -> None:
    pages = {
        "/": shop(1, 8, '<ul class="pager"><li class="next"><a href="/two">next</a></li></ul>'),
        "/two": shop(8, 12, '<ul class="pager"><li class="next"><a href="/three">next</a></li></ul>'),
        "/three": shop(12, 15),
    }
    found, _ = probed(pages, tmp_path)
    assert found.collector is not None
    assert found.collector["next_page"] == "li.next a"
    assert found.pagination is not None
    assert (found.pagination.type, found.pagination.verified) == ("next_page", True)
    assert found.sample_rows == 11  # of two pages


def test_a_next_page_of_another_kind_is_none(tmp_path: Path) -> None:
    pages = {"/": shop(1, 8, '<a rel="next" href="/two">Next chapter</a>'), "/two": "<p>Something else</p>"}
    found, _ = probed(pages, tmp_path)
    assert found.collector is not None
    assert "next_page" not in found.collector
    assert found.pagination is not None
    assert not found.pagination.verified
    assert found.pagination.tried == ['a[rel~="next"]']


def test_what_robots_txt_forbids_is_not_looked_into(tmp_path: Path) -> None:
    found, site = probed({"/": shop(1, 8), "/robots.txt": "User-agent: *\nDisallow: /\n"}, tmp_path)
    assert found.robots is not None
    assert not found.robots.allowed
    assert found.collector is None
    assert (found.structures, found.tables) == ([], [])
    assert any("robots.txt does not allow" in note for note in found.notes)
    assert [hit.path for hit in site.hits] == ["/", "/robots.txt"]


def test_a_site_that_wants_much_time_is_asked_no_more_than_it_must(tmp_path: Path) -> None:
    pages = {"/": shop(1, 8, '<a rel="next" href="/two">n</a>'), "/robots.txt": "User-agent: *\nCrawl-delay: 60\n"}
    found, site = probed(pages, tmp_path)
    assert found.collector is not None
    assert found.structures[0].rows == 7
    assert found.columns == []
    assert [hit.path for hit in site.hits] == ["/", "/robots.txt"]
    assert any("60 s between two requests" in note for note in found.notes)


def test_a_page_where_nothing_repeats(tmp_path: Path) -> None:
    found, _ = probed({"/": "<html><body><div id=app></div><script>run()</script>"}, tmp_path)
    assert found.collector is None
    assert any("added by scripts" in note for note in found.notes)


def test_a_hostile_page_is_refused(tmp_path: Path) -> None:
    html = b"<html>" + b"<div>" * 20_000
    with serving(lambda hit: Reply(html, headers={"content-type": "text/html"})) as site:
        error = refused(tmp_path / "probe", url=site.address + "/")
    assert "stay open" in error.message


def test_a_login_becomes_a_header_of_the_web_collector(tmp_path: Path) -> None:
    auth = {"type": "bearer", "token": "${TOKEN}"}
    found, site = probed({"/": shop(1, 8)}, tmp_path, auth=auth)
    assert found.collector is not None
    assert found.collector["headers"] == {"Authorization": "Bearer ${TOKEN}"}
    sent = [hit.headers.get("authorization") for hit in site.hits if hit.path == "/"]
    assert sent == [f"Bearer {SECRETS['TOKEN']}"] * len(sent)


@pytest.mark.parametrize("depth", [3_000, 10_000])
def test_deep_pages_take_no_time(depth: int) -> None:
    html = "<html><body>" + '<div class="a">' * depth + "x" + "</div>" * depth
    assert structures.found_structures(page(html)) == []
