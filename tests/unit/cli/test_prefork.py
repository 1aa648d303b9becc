"""What is loaded early is all that ``bootstrap`` prepares."""

from __future__ import annotations

from multiprocessing import forkserver

import pytest

from service.cli import prefork
from service.processes import preloaded


def test_the_forkserver_begins_with_the_modules_that_children_need(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(forkserver, "set_forkserver_preload", asked.append)
    monkeypatch.setattr(forkserver, "ensure_running", lambda: None)
    prefork.begin()
    assert asked == [list(preloaded.MODULES)]
