"""Requirement 35: a start is refused for a signing secret that is short or can be guessed, and shows none."""

from __future__ import annotations

import secrets

import pytest

from service.kit import errors, settings

GOOD, OTHER = "Zq7#" + secrets.token_urlsafe(32), secrets.token_hex(16)


def refused(environment: dict[str, str]) -> dict[str, str]:
    with pytest.raises(errors.Invalid) as caught:
        settings.load(environment)
    listed = caught.value.details.get("errors") or [
        {"field": caught.value.details["field"], "message": caught.value.message}
    ]
    return {problem["field"]: problem["message"] for problem in listed}


def test_one_secret_or_several() -> None:
    assert settings.load({}).signing_secrets == ()
    assert settings.load({"PENSTOCK_JWT_SECRET": GOOD}).signing_secrets == (GOOD,)
    assert settings.load({"PENSTOCK_JWT_SECRETS": f"{GOOD}, {OTHER}"}).signing_secrets == (GOOD, OTHER)


@pytest.mark.parametrize(
    "weak",
    [
        "", "short", "é" * 15, "x" * 64, "abcdefgh" * 4, "change-me-change-me-change-me-change-me",
        "your-256-bit-secret-your-256-bit-secret", "a-string-secret-at-least-256-bits-long",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "0123456789abcdef0123456789abcdef",
        "SuperSecretKeyThatNobodyWillEverGuess!",
    ],
)  # fmt: skip
def test_requirement_35_weak_secrets_are_refused_wherever_they_stand(weak: str) -> None:
    told = refused({"PENSTOCK_JWT_SECRET": weak})
    assert list(told) == ["PENSTOCK_JWT_SECRET"]
    assert not weak or weak not in told["PENSTOCK_JWT_SECRET"]
    if weak:
        told = refused({"PENSTOCK_JWT_SECRETS": f"{GOOD},{weak}"})
        assert "number 2: " in told["PENSTOCK_JWT_SECRETS"]


def test_the_two_settings_exclude_each_other() -> None:
    assert "remove PENSTOCK_JWT_SECRET" in str(refused({"PENSTOCK_JWT_SECRET": GOOD, "PENSTOCK_JWT_SECRETS": OTHER}))
    assert "lists no secret" in str(refused({"PENSTOCK_JWT_SECRETS": " , "}))
