"""What is loaded early is all that ``bootstrap`` prepares."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.cli import prefork
from service.processes import forkserver, preloaded


def test_the_forkserver_begins_with_the_modules_that_children_need(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(forkserver, "prepare", asked.append)
    prefork.begin()
    assert asked == [preloaded.MODULES]
