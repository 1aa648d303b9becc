"""How many examples a property test tries: its own number, scaled by the hypothesis profile that is chosen.

The examples of the plain suite are the same each time, so that a commit passes or fails for what it changes;
``--hypothesis-profile=thorough`` tries others, and twenty times as many.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, settings

DEFAULT = 100
DEFAULT_PROFILE = "default"


def examples(number: int, *, suppress: Sequence[HealthCheck] = ()) -> settings:
    """Settings that try ``number`` examples under the profile ``default``, fewer or more under the others."""
    scaled = max(1, number * settings().max_examples // DEFAULT)
    return settings(max_examples=scaled, deadline=None, suppress_health_check=suppress)


settings.register_profile("fast", max_examples=5, deadline=None, derandomize=True)
settings.register_profile(DEFAULT_PROFILE, max_examples=DEFAULT, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=20 * DEFAULT, deadline=None)
