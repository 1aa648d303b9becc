"""The progress bar of a run, where it is shown and where it is not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from service.client.progress import Bar


@pytest.mark.parametrize("force_jupyter", [True, False])
def test_no_bar_and_no_warning_where_it_cannot_be_shown(force_jupyter: bool) -> None:
    """Of a notebook without ipywidgets, and of a file. A warning would be an error here."""
    said = io.StringIO()
    with Bar("orders", Console(file=said, force_jupyter=force_jupyter)):
        pass
    assert said.getvalue() == ""


def test_a_terminal_shows_it() -> None:
    said = io.StringIO()
    with Bar("orders", Console(file=said, force_terminal=True, width=100)):
        pass
    assert "orders" in said.getvalue()
