"""Where quarantined rows go on: with the step that refused them, and with what was mended right before it."""

from __future__ import annotations

from typing import Any

import pytest

from service.jobs import replay_plan
from tests.unit.processors.table import decode

RULES = {"rules": [{"expression": "a > 0"}]}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "c": ("cleaner", {"drop_na": True}),
    "d": ("cleaner", {"strip_strings": True}),
    "v": ("validator", RULES),
    "w": ("validator", {**RULES, "on_fail": "drop"}),
    "t": ("transformer", {"select": ["a"]}),
    "u": ("transformer", {"select": ["b"]}),
}


@pytest.mark.parametrize(
    ("before", "refused", "now", "place", "repeated"),
    [
        ("cv", 1, "cv", 1, []),  # nothing changed
        ("cv", 1, "cw", 1, []),  # the rules were changed
        ("cv", 1, "cdv", 2, [1]),  # a cleaner was put before it
        ("cv", 1, "dv", 1, [0]),  # the cleaner before it was changed
        ("cv", 1, "cvt", 1, []),  # something was added after it
        ("cv", 1, "dcv", 2, [0]),  # a cleaner was put before everything
        ("vcw", 2, "wcw", 2, [0]),  # another rule before a cleaner that is as it was
        ("ctv", 2, "dtv", 2, []),  # a transformer stands between
        ("tv", 1, "uv", 1, []),
        ("tcv", 2, "udv", 2, [1]),
        ("cv", 1, "v", 0, []),  # the cleaner is gone
        ("cv", 1, "c", 1, []),  # the validator is gone: nothing is left to do
        ("cvt", 1, "ct", 1, []),
        ("v", 0, "", 0, []),
        ("cv", 1, "dw", 1, [0]),  # both were changed
        ("vcw", 2, "vdw", 2, [1]),
    ],
)
def test_where_rows_go_on(before: str, refused: int, now: str, place: int, repeated: list[int]) -> None:
    processors = [decode(*KINDS[n]) for n in now]
    then, later = ([{"type": KINDS[n][0], "config": KINDS[n][1]} for n in names] for names in (before, now))
    assert replay_plan.place(refused, then, later) == place
    assert replay_plan.repeated(refused, then, later, processors) == repeated


def test_the_place_is_in_the_name() -> None:
    assert (replay_plan.number("processors[12]"), replay_plan.number("collectors[0]")) == (12, 0)
