"""The short form of the campaign: every kind of kill once. ``python -m tests.cluster`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.campaign import Campaign
from tests.cluster.installation import Size

pytestmark = pytest.mark.services


def test_whoever_is_killed_every_run_ends_and_every_version_is_there_once_and_whole(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, Size(2, 3, 4.0), pipelines=10, runs=30, kills=10, seed=1, told=print)
    campaign.run()
    assert not campaign.faults
