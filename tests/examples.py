"""How many examples a property test tries: its own number, scaled by the hypothesis profile that is chosen.

The examples of the plain suite are the same each time, so that a commit passes or fails for what it changes;
``--hypothesis-profile=thorough`` tries others, and twenty times as many.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

DEFAULT = 100
DEFAULT_PROFILE = "default"


def examples(number: int, *, suppress: Sequence[HealthCheck] = ()) -> settings:
    """Settings that try ``number`` examples under the profile ``default``, fewer or more under the others."""
    scaled = max(1, number * settings().max_examples // DEFAULT)
    return settings(max_examples=scaled, deadline=None, suppress_health_check=suppress)


def mostly_slow(cases: Sequence[Any], quick: Collection[Any]) -> list[Any]:
    """The cases of a parametrized test; those that are not ``quick`` are left to ``.ci/slow``."""
    return [
        case if case in quick else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for case in cases
    ]


settings.register_profile("fast", max_examples=5, deadline=None, derandomize=True)
settings.register_profile(DEFAULT_PROFILE, max_examples=DEFAULT, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=20 * DEFAULT, deadline=None)
