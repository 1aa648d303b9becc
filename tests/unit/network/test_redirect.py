"""Redirects: allowed targets, and the method of the next request."""

from __future__ import annotations

import pytest

from service.network import redirect


@pytest.mark.parametrize(
    ("location", "path"),
    [("/b?c=1", b"/b"), ("next", b"/a/next"), ("//other.example/x", b"/x"), ("http://other.example:8080/x", b"/x")],
)
def test_a_location_is_read_against_the_url(location: str, path: bytes) -> None:
    assert redirect.target("https://shop.example/a/page?x=1", location).path == path


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://shop.example/", "http://a:b@shop.example/", "http://"]
)
def test_a_target_that_may_not_be_fetched(location: str) -> None:
    with pytest.raises(redirect.NotAllowed, match="it redirects to a URL that is not allowed"):
        redirect.target("https://shop.example/a", location)


def test_only_an_answer_with_a_location_redirects() -> None:
    assert redirect.is_redirect(302, {"location": "/b"})
    assert not redirect.is_redirect(302, {})
    assert not redirect.is_redirect(300, {"location": "/b"})


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [(303, "PUT", True), (301, "POST", True), (302, "POST", True), (302, "PUT", False), (307, "POST", False)],
)
def test_the_method_of_the_next_request(status: int, method: str, expected: bool) -> None:
    assert redirect.becomes_get(status, method) is expected
