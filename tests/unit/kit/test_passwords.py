"""Passwords are hashed as OWASP wants, and a check tells nothing by how long it takes."""

from __future__ import annotations

import statistics
import time

import argon2
import pytest

from service.kit import errors, passwords


def test_requirement_39_passwords_are_hashed_as_owasp_wants() -> None:
    kept = passwords.hashed("correct horse battery")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.matches(kept, "correct horse battery")
    assert not passwords.matches(kept, "Correct horse battery")
    assert not passwords.matches(kept, "")
    assert not passwords.outdated(kept)


def test_bounds() -> None:
    for wrong in ("short", "x" * 11, "x" * 1025, "é" * 600):
        with pytest.raises(errors.Invalid) as caught:
            passwords.hashed(wrong)
        assert caught.value.details == {"field": "password"}
    longest = "x" * 1024
    kept = passwords.hashed(longest)
    assert passwords.matches(kept, longest)
    assert not passwords.matches(kept, longest + "x")
    assert not passwords.matches(kept, "\ud800" * 20)


def test_nobody_and_nonsense_never_match() -> None:
    assert not passwords.matches(None, "correct horse battery")
    assert not passwords.matches("not a hash", "correct horse battery")
    assert not passwords.matches("", "correct horse battery")


def test_old_parameters_are_seen() -> None:
    assert passwords.outdated(argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x" * 12))


def test_generated_ones_are_good_enough() -> None:
    assert len(passwords.generated()) == 24
    assert passwords.generated() != passwords.generated()


def test_requirement_40_a_name_that_does_not_exist_takes_as_long() -> None:
    kept = passwords.hashed("correct horse battery")
    assert argon2.extract_parameters(passwords._NOBODY) == argon2.extract_parameters(kept)  # so the work is the same

    def seconds(against: str | None) -> float:
        times = []
        for _ in range(7):
            began = time.process_time()
            passwords.matches(against, "not the password")
            times.append(time.process_time() - began)
        return statistics.median(times)

    known, unknown = seconds(kept), seconds(None)
    assert 0.5 < known / unknown < 2
