"""The short ways through a page answer what the long ones do."""

from __future__ import annotations

import html
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from service.collectors.html import page as html_page
from service.collectors.html.page import Field, Page
from service.network.request import Response
from tests.examples import examples

BASES = [
    "http://h/a/b?c",
    "https://h:8/",
    "http://h",
    "http://h/x/y/#f",
    "http://h/a;p/b",
    "http://h/a/../b/c.html?x=/y",
]


@examples(400)
@given(st.sampled_from(BASES), st.text(alphabet="ab.1/?=&#:;%-_~@+,", max_size=12))
def test_links_are_joined_as_the_standard_says(base: str, link: str) -> None:
    page = Page(LexborHTMLParser(f'<a href="{html.escape(link)}">x</a>'.encode()), base)
    (found,) = page.column(page.tree.css("a"), Field.of("a@href"), True)
    assert found == urljoin(base, link)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<div>" * 15_001, "stay open"),
        (b"<DIV>" * 15_001, "stay open"),
        (b"<div>" * 15_000, None),
        (b"<div></div>" * 30_000, None),
        (b"<br><p>" * 30_000, None),
        (b"x > 1 <div " + b"a=1 " * 5_001 + b">", "attributes"),
        (b"<p>" * 3_333 + b"<div " + b"a " * 5_001, "attributes"),
        (b"<div " + b"a " * 4_990 + b">", None),
        (b"<p>" + b"a word " * 30_000 + b"</p>", None),
        (b"<script>" + b"if (a < b) x = 1; " * 30_000 + b"</script>", None),
    ],
)
def test_requirement_49_pages_that_would_keep_the_parser_busy_are_told(body: bytes, said: str | None) -> None:
    found = html_page.hostile(body)
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<p>a<br>b</p>", "a b"),
        ("<p><b>H</b>ello <i>w</i>orld</p>", "Hello world"),
        ("<p>x<script>s</script><style>p{}</style>y<!-- c -->z</p>", "xyz"),
        ("<div><p>A</p><p>B</p>C<div>D<div>E</div>F</div></div>", "A B C D E F"),
        ("<ul><li>x<li>y</ul>", "x y"),
        ("<p><b></b></p>", ""),
        ("<script>var a = 1</script>", "var a = 1"),
        ("<div>" * 10_000 + "deep", "deep"),
    ],
)
def test_text_is_what_a_reader_sees(body: str, said: str) -> None:
    tree = LexborHTMLParser(f"<main>{body}</main>".encode())
    (first,) = tree.css("main > *")
    assert html_page.text(first) == said


@pytest.mark.parametrize(
    ("body", "said", "wanted", "torn"),
    [
        ("鎔".encode("gbk"), "charset=gb2312", "鎔", None),
        ("①".encode("cp932"), "charset=shift_jis", "①", None),
        (b"<meta charset=latin-1>\xe9", "charset=nonsense", "é", None),
        (b"\xe9", "charset=hex", "é", None),
        (b"\xe9", "charset=idna", "é", None),
        ("é".encode(), "charset=undefined", "é", None),
        (b"\xe9", "charset=utf-8", "\ufffd", "utf-8"),
        (b"\xff\xfe\xe9", "", "\ufffd", "utf-16"),
    ],
)
def test_pages_are_read_as_browsers_read_them(body: bytes, said: str, wanted: str, torn: str | None) -> None:
    content, damaged = html_page.utf8(body, f"text/html; {said}")
    assert (content.decode()[-1], damaged) == (wanted, torn)


_TAGS = st.sampled_from(["<div>", "</div>", '<p class="a">', "</p>", "<b>", "</b>", "<main>", "</main>", "x", "y"])


@examples(200)
@given(
    st.lists(_TAGS, max_size=40).map("".join),
    st.sampled_from(["div", "p", "main div", "main, b", "*"]),
    st.sampled_from(["p", "b", "p b", "b, p", "main p.a", "div", "div > *", "p:first-child"]),
)
def test_one_look_at_the_page_finds_the_first_element_of_each_container(body: str, around: str, wanted: str) -> None:
    page = Page(LexborHTMLParser(f"<section>{body}</section>".encode()), "http://h/")
    containers = page.tree.css(around)
    each = [container.css_first(wanted) for container in containers]
    expected = [None if node is None else html_page.text(node) for node in each]
    assert page.column(containers, Field.of(wanted), False) == expected


@pytest.mark.parametrize("hiding", ["HIDDEN", 'STYLE="Display: None"', 'style="visibility:hidden"'])
def test_what_is_hidden_is_found_in_any_case(hiding: str) -> None:
    answer = Response(200, {}, f"<p>a</p><p {hiding}>b</p>".encode(), "http://h/")
    assert len(Page.of(answer).hidden) == 1
    assert Page.of(Response(200, {}, b'<BASE HREF="/x/"><p>', "http://h/")).base == "http://h/x/"
