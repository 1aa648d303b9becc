"""URLs of object stores: one that others would read in another way is refused, not corrected in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.kit import store_url


@pytest.mark.parametrize(
    "url",
    [
        "s3://b",
        "s3://b/",
        "s3://b/p",
        "s3://b/p/q/",
        "gs://b/p q",
        "az://c/é",
        "file:///f",
        "file:/f",
        "file:///f/../g",
    ],
)
def test_a_url_of_a_store_is_taken(url: str) -> None:
    assert store_url.fault(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("S3://b/p", "does not begin with"), ("FILE:///f", "does not begin with"), (" s3://b/p", "does not begin with"),
        ("http://b/p", "does not begin with"), ("s3", "does not begin with"), ("", "does not begin with"),
        ("s3://b/p ", "cannot be seen"), ("s3://b/p\nq", "cannot be seen"), ("gs://b/\u200bp", "cannot be seen"),
        ("s3:///p", "names no bucket"), ("s3://", "names no bucket"), ("s3:/b/p", "names no bucket"),
        ("s3://store:8333/penstock", "AWS_ENDPOINT_URL"), ("s3://b/p//q", "a part that is empty"),
        ("s3://b//", "a part that is empty"), ("s3://b/p//", "a part that is empty"), ("s3://b/../x", "'..'"),
        ("s3://b/./x", "'.'"), ("s3://b/%2e%2e/x", "'..'"), ("s3://key:hidden@b/x", "credentials"),
        ("s3://b/x?sse=hidden", "credentials"), ("file://f", "file:///path"), ("file:///", "file:///path"),
        ("s3://[b/x", "is not a URL"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_without_secrets(url: str, why: str) -> None:
    said = store_url.fault(url)
    assert said is not None
    assert why in said
    assert "hidden" not in said


def test_a_folder_is_read_as_urls_are_written() -> None:
    assert store_url.folder_of("file:///a%20b") == Path("/a b")
    assert store_url.folder_of("s3://a/b") is None
