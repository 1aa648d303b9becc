"""What every test may ask for: a clock that stands still and the registry; and which tests are the fast ring.

Helpers are modules beside the tests that are not themselves tests (``tests.registry``, ``tests.unit.network.site``).
"""

from __future__ import annotations

import pytest

# Helper modules assert, too, and show the values as tests do.
pytest.register_assert_rewrite("tests.acceptance", "tests.api", "tests.unit", "tests.registry")

from service.kit.clock import FixedClock  # noqa: E402 - the rewriting comes first
from service.steps.registry import Registry  # noqa: E402
from tests.registry import REGISTRY  # noqa: E402


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still until the test advances it."""
    return FixedClock()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The built-in plug-ins and those of the sample package."""
    return REGISTRY
