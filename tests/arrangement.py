"""The order of the test modules, so that a process a core keeps the cores busy until the end."""

from __future__ import annotations

from pathlib import Path

import pytest

SERVED = Path(__file__).parent / "acceptance"
SERVED_SECONDS, OTHER_SECONDS = 0.8, 0.07  # a test takes about so long
EARLIER = 0.1  # of the whole


def _weight(tests: list[pytest.Item]) -> float:
    """About how many seconds the tests of a module take."""
    return len(tests) * (SERVED_SECONDS if SERVED in tests[0].path.parents else OTHER_SECONDS)


def side_by_side(items: list[pytest.Item]) -> list[pytest.Item]:
    """Modules that wait for a service in turn with those that compute: the cores have both until near the end.

    Long ones come first, and those that wait are through a little earlier, since a single one of them is long.
    """
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    ordered = sorted(modules.values(), key=_weight)
    waiting = [tests for tests in ordered if SERVED in tests[0].path.parents]
    computing = [tests for tests in ordered if SERVED not in tests[0].path.parents]
    left = {id(kind): sum(map(_weight, kind)) or 1.0 for kind in (waiting, computing)}
    whole, arranged = dict(left), list[pytest.Item]()

    def share(kind: list[list[pytest.Item]]) -> float:
        return left[id(kind)] / whole[id(kind)]

    while waiting or computing:
        kind = waiting if waiting and (not computing or share(waiting) + EARLIER >= share(computing)) else computing
        arranged += (tests := kind.pop())
        left[id(kind)] -= _weight(tests)
    return arranged
