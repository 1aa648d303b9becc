"""Links as servers write them."""

from __future__ import annotations

import pytest

from service.network import link_header


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('</r?page=2>; rel="next"', {"next": "/r?page=2"}),
        ("</r?page=2>;rel=next", {"next": "/r?page=2"}),
        ("</r?page=2>; rel='next'", {"next": "/r?page=2"}),
        ('</r?page=2> ; REL = "Next Last"', {"next": "/r?page=2", "last": "/r?page=2"}),
        ('</r?a=1;b=2,3&page=2>; rel="next"', {"next": "/r?a=1;b=2,3&page=2"}),
        ('</2>; title="a, <b>; rel=no \\" c"; rel="next"', {"next": "/2"}),
        ('</2>; title; rel="next"; rel="prev"', {"next": "/2"}),
        ('</1>; rel="first", </2>;rel="next",</9>; rel="last"', {"first": "/1", "next": "/2", "last": "/9"}),
        ('</2>; rel="next", </3>; rel="next"', {"next": "/2"}),
        ('<https://api.w.org/>; rel="https://api.w.org/"', {"https://api.w.org/": "https://api.w.org/"}),
        ("</style.css>; as=style", {}),
        ("<>; rel=next", {}),
        ("no link at all; rel=next", {}),
        ("", {}),
    ],
)
def test_relations(header: str, found: dict[str, str]) -> None:
    assert link_header.relations(header) == found
