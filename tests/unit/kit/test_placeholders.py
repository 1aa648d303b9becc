"""Secrets in texts: filled by name, and masked in whatever form they come back."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kit import errors, placeholders

SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=30)
AROUND = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)


@given(SECRETS, AROUND, AROUND)
def test_no_form_of_a_secret_is_left(secret: str, before: str, after: str) -> None:
    for form in (
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret, safe="").lower(),
        json.dumps(secret),
    ):
        masked = placeholders.mask(f"{before}{form}{after}", [secret])
        assert form.strip('"') not in masked
        assert placeholders.MASK in masked


@given(SECRETS, st.binary(max_size=10), st.binary(max_size=10))
def test_no_base64_of_a_secret_is_left(secret: str, before: bytes, after: bytes) -> None:
    content = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(content).decode()
        masked = placeholders.mask(f"Basic {text}", [secret])
        assert placeholders.MASK in masked
        left = masked.removeprefix("Basic ").split(placeholders.MASK)
        assert all(len(part) <= len(text) - len(secret.encode()) for part in left)


@given(SECRETS, AROUND, st.integers(4, 29), st.sampled_from(["", "%", "%2"]), st.sampled_from(["…", "...", "", "…'"]))
def test_an_excerpt_shows_no_beginning_of_a_secret(secret: str, before: str, most: int, torn: str, end: str) -> None:
    beginning = secret[: min(most, len(secret) - 1)]
    for form in (beginning, quote(beginning, safe="") + torn, quote_plus(beginning) + torn):
        masked = placeholders.mask(f"{before}>{form}{end}", [secret])
        assert form not in masked
        assert placeholders.MASK in masked


@pytest.mark.parametrize("cut", range(9, 30))
def test_an_excerpt_shows_no_beginning_of_encoded_secrets(cut: int) -> None:
    header = "Basic " + base64.b64encode(b"u:correct horse battery").decode()
    assert "Y29ycmVj" not in placeholders.mask(header[: 6 + cut] + "…", ["correct horse battery"])
    url = "k=" + quote("Zq9/Secret+Value", safe="")
    assert "Zq9" not in placeholders.mask(url[:cut], ["Zq9/Secret+Value"])


def test_words_that_are_not_cut_stay() -> None:
    text = "production is a word; the product… and produced."
    assert placeholders.mask(text, ["production-key"]) == "production is a word; the ***… and produced."


def test_hosts_are_lower_case() -> None:
    assert placeholders.mask("cannot resolve acme-tenant.invalid", ["Acme-Tenant"]) == "cannot resolve ***.invalid"
    header = "Basic " + base64.b64encode(b"user:correct horse").decode()
    assert "Y29ycmVjd" not in placeholders.mask(header, ["correct horse"])


def test_the_longest_secret_goes_first_and_short_ones_stay() -> None:
    assert placeholders.mask("token-12345 abc", ["token", "token-12345", "abc"]) == "*** abc"
    assert placeholders.mask("nothing", []) == "nothing"


def test_a_secret_without_a_value_is_named() -> None:
    assert placeholders.fill("a ${TOKEN}", {"TOKEN": "x"}, "collectors[0]") == "a x"
    assert placeholders.names("${A} ${B_1} $C") == {"A", "B_1"}
    with pytest.raises(errors.Permanent, match="PENSTOCK_SECRET_TOKEN"):
        placeholders.fill("${TOKEN}", {}, "collectors[0]")


@pytest.mark.parametrize("shown", ["the name {} cannot be resolved", "'{}' is odd"])
def test_a_part_of_a_secret_that_a_url_divides_is_not_shown(shown: str) -> None:
    text = shown.format("s3cr3t+value")
    assert placeholders.mask(text, ["s3cr3t+Value/==42"]) == shown.format(placeholders.MASK)
    assert placeholders.mask("a plain text", ["s3cr3t/plain"]) == "a plain text"  # a short part may be any word
