"""Where quarantined rows go on: with the step that refused them, and with what was mended right before it."""

from __future__ import annotations

from typing import Any

import polars as pl
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
    "p": ("cleaner", {"cast": {"price": "float64"}}),
    "r": ("cleaner", {"rename_columns": {"price": "amount"}}),
}
NUMBERS = pl.Schema({"a": pl.Float64(), "b": pl.Float64()})


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
    way = replay_plan.way(refused, then, later, processors, NUMBERS, NUMBERS)
    assert way == (repeated, {}, None)


@pytest.mark.parametrize(
    ("now", "columns", "way"),
    [
        ("pv", {"price": pl.String}, ([0], {}, None)),  # the cast is tried again
        ("pdv", {"price": pl.String}, ([0, 1], {}, None)),
        ("pvw", {"price": pl.String}, ([0], {}, None)),
        ("pvv", {"price": pl.String}, ([0], {}, None)),  # a validator is not repeated
        ("prv", {"amount": pl.String}, ([0, 1], {"amount": "price"}, None)),
        ("ptv", {"price": pl.String}, ([], {}, 0)),
        ("prtv", {"amount": pl.String}, ([], {}, 0)),
        ("ptv", {"price": pl.Float64}, ([], {}, None)),
        ("ptv", {"city": pl.String}, ([], {}, None)),
    ],
)
def test_text_goes_back_to_the_cast_that_failed(now: str, columns: dict[str, Any], way: tuple[Any, ...]) -> None:
    processors = [decode(*KINDS[n]) for n in now]
    documents = [{"type": KINDS[n][0], "config": KINDS[n][1]} for n in now]
    stored = pl.Schema(dict.fromkeys(columns, pl.Float64())) if "city" not in columns else pl.Schema(columns)
    refused = len(now.rstrip("w")) - 1
    assert replay_plan.way(refused, documents, documents, processors, pl.Schema(columns), stored) == way


def test_the_place_is_in_the_name() -> None:
    assert (replay_plan.number("processors[12]"), replay_plan.number("collectors[0]")) == (12, 0)
