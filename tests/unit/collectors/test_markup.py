"""The short ways through a page answer what the long ones do."""

from __future__ import annotations

import html
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from service.collectors import markup
from service.collectors.markup import Field, Page

BASES = [
    "http://h/a/b?c",
    "https://h:8/",
    "http://h",
    "http://h/x/y/#f",
    "http://h/a;p/b",
    "http://h/a/../b/c.html?x=/y",
]


@settings(max_examples=400)
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
def test_pages_that_would_keep_the_parser_busy_are_told(body: bytes, said: str | None) -> None:
    found = markup.hostile(body)
    assert found is None if said is None else said in str(found)
