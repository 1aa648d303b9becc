"""The URL of a Spark Connect server: what is refused, without its token, and what the client gets."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from service.kit import errors, settings, spark_url


@pytest.mark.parametrize(
    "url",
    ["sc://spark", "sc://spark:15002", "sc://[::1]:1/", "sc://h:443/;use_ssl=true;token=a", "sc://h/;token=aGk+/w==;"],
)
def test_what_a_client_can_use(url: str) -> None:
    assert settings.load({"PENSTOCK_SPARK_URL": url}).spark_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://h:1", "sc://", "sc://:1", "sc://h:x", "sc://h:99999", "sc://me:hunter2@h", "sc://h:1;token=hunter2",
        "sc://h/hunter2", "sc://h/x;token=hunter2", "sc://h?token=hunter2", "sc://h#hunter2", "sc://h/;hunter2",
        "sc://h/;token=", "sc://h/;=hunter2", "sc://h/;token=hunter2%0Ax", "sc://h/;token=hunter2ü", "sc://[h/",
    ],
)  # fmt: skip
def test_what_is_refused_at_the_start_without_its_token(url: str) -> None:
    with pytest.raises(errors.Invalid, match="PENSTOCK_SPARK_URL") as caught:
        settings.load({"PENSTOCK_SPARK_URL": url})
    assert "hunter2" not in repr(caught.value.as_body())


def test_our_options_win_and_a_token_in_base64_is_one_value() -> None:
    made = spark_url.with_options("sc://h:1/;user_id=x;token=aGk+/w==?;use_ssl=true", {"user_id": "penstock"})
    assert made == "sc://h:1/;user_id=penstock;token=aGk%2B%2Fw%3D%3D%3F;use_ssl=true"
    assert unquote(made).endswith("token=aGk+/w==?;use_ssl=true")
    assert spark_url.with_options("sc://h", {"a": "b"}) == "sc://h/;a=b"
    assert spark_url.with_options("sc://h/;token=a%3Bb", {}) == "sc://h/;token=a%3Bb"
