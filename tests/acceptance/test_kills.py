"""A short campaign of kills; ``python -m tests.acceptance.kills`` makes a whole one."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.kills.campaign import ANY_TIME, Campaign

KILLS = 3  # 200 in the whole campaign


def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=7, record_seconds=3.0)
    tally = campaign.run(KILLS, steps=KILLS - 1)
    assert tally.kills >= KILLS
    assert tally.places[ANY_TIME] < tally.kills, "no step was met"
