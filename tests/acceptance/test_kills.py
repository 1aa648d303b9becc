"""A short campaign of kills; ``python -m tests.acceptance.kills`` makes a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.kills.campaign import Campaign

KILLS = 1  # 200 in the whole campaign


@pytest.mark.slow
def test_requirement_23_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    tally = Campaign(tmp_path, seed=7).run(KILLS, steps=2)
    assert tally.at_any_time == KILLS
    assert tally.kills > KILLS, "no step was met"
