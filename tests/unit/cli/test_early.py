"""What is begun early is what the house would begin."""

from __future__ import annotations

from service import bootstrap
from service.cli import early


def test_the_house_finds_what_it_would_have_loaded() -> None:
    assert early.PRELOADED == bootstrap.PRELOADED
