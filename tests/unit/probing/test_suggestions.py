"""What a column of text seems to hold: the cast that reads it, and texts that mean missing."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from service.probing import suggestions, traits


@pytest.mark.parametrize(
    ("texts", "cast"),
    [
        (["94,39", "1.234,50", "-"], {"type": "float64", "thousands": ".", "decimal_comma": True}),
        (["1,234", " 2,345 "], {"type": "int64", "thousands": ","}),
        (["€ 12.50", "€ 1,300.00"], {"type": "float64", "thousands": ",", "currency": True}),
        (["12 %", "3.5%"], {"type": "float64", "percent": True}),
        (["7", "8.5", "N/A"], {"type": "float64"}),
        (["1", "20"], {"type": "int64"}),
        (["03.02.2026", "n/a", "27.02.2026"], {"type": "date", "format": "%d.%m.%Y"}),
        (["03.02.2026 10:05", "27.02.2026 23:59"], {"type": "datetime", "format": "%d.%m.%Y %H:%M"}),
        (["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"], {"type": "datetime"}),
        (["2026-01-01", "2026-02-01"], {"type": "date"}),
        (["yes", "No"], {"type": "boolean"}),
        (["Ja", "nein"], {"type": "boolean", "true_values": ["ja"], "false_values": ["nein"]}),
        (["00501", "00502"], None),
        (["+41 44 668 18 00", "0049 30 1234"], None),
        (["room 101", "room 12"], None),
        (["Bern", "Rome"], None),
        (["-", "n/a"], None),
        ([None, None], None),
    ],
)
def test_the_cast_that_reads_all_values(texts: list[str | None], cast: dict[str, Any] | None) -> None:
    series = pl.Series("x", texts, dtype=pl.String)
    assert suggestions.cast(series, suggestions.missing_texts(series)) == cast


def test_a_column_says_what_means_missing_and_what_has_spaces() -> None:
    found = traits.columns(pl.DataFrame({"x": [" a", "N/A", "-", None, "b "], "n": [1, 2, 2, None, 3]}))
    assert (found[0].missing_texts, found[0].padded, found[0].missing, found[0].distinct) == (["N/A", "-"], 2, 1, 4)
    assert (found[1].missing_texts, found[1].padded, found[1].cast, found[1].distinct) == ([], 0, None, 3)


@pytest.mark.parametrize(
    ("numbers", "others", "cast", "lost"),
    [
        (["1.5", "20"], ["ask", "12,5O"], {"type": "float64", "on_error": "null"}, 2),
        (["1", "20"], ["ask"], {"type": "int64", "on_error": "null"}, 1),
        (["1", "20"], ["ask"] * 5, None, 0),  # too many
        (["0501", "20"], ["ask"], None, 0),  # names of things
    ],
)
def test_few_values_that_are_no_numbers_are_counted(
    numbers: list[str], others: list[str], cast: dict[str, Any] | None, lost: int
) -> None:
    (found,) = traits.columns(pl.DataFrame({"x": [*numbers * 50, *others, "n/a"]}))
    assert (found.cast, found.cast_losses) == (cast, lost)
    few = pl.Series("x", [*numbers * 10, others[0]])
    assert suggestions.cast_of_most(few, []) == (None, 0)


DAYS = [f"{n % 28 + 1:02d}.03.2026" for n in range(60)]


@pytest.mark.parametrize(
    ("texts", "cast", "lost"),
    [
        (["03.01.2026", "04.01.2026", "2026-01-07"], {"type": "date", "format": ["%d.%m.%Y", "%Y-%m-%d"]}, 0),
        (["03.01.2026", "03.01.26"], {"type": "date", "format": ["%d.%m.%Y", "%d.%m.%y"]}, 0),
        (
            ["03.01.2026 10:00", "2026-01-07 11:00"],
            {"type": "datetime", "format": ["%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M"]},
            0,
        ),
        ([*DAYS, "soon"], {"type": "date", "format": "%d.%m.%Y", "on_error": "null"}, 1),
        ([*DAYS, "2026-03-01", "soon"], {"type": "date", "format": ["%d.%m.%Y", "%Y-%m-%d"], "on_error": "null"}, 1),
        (["2026-01-07", *["2026-01-08"] * 60, "soon"], {"type": "date", "on_error": "null"}, 1),
        ([*DAYS, *["soon"] * 5], None, 0),  # too many
        (["03.01.2026", "soon"], None, 0),  # too few
        (["13/01/2026", "01/25/2026"], None, 0),  # which of them is 03/04/2026?
        (["1.5.2", "2.3.4"], None, 0),  # versions
    ],
)
def test_dates_in_several_forms(texts: list[str], cast: dict[str, Any] | None, lost: int) -> None:
    (found,) = traits.columns(pl.DataFrame({"x": texts}))
    assert (found.cast, found.cast_losses) == (cast, lost)


def test_dates_that_are_ambiguous() -> None:
    day = {"type": "date", "format": "%d/%m/%Y"}
    assert suggestions.month_first(pl.Series(["03/04/2026", "01/02/2026"]), day)
    assert not suggestions.month_first(pl.Series(["03/04/2026", "13/02/2026"]), day)
    assert not suggestions.month_first(pl.Series(["3.4.2026"]), {"type": "date", "format": "%d.%m.%Y"})


def test_rows_that_are_there_again() -> None:
    assert traits.repeated(pl.DataFrame({"a": [1, 1, 2, None, None], "b": ["x", "x", "y", None, None]})) == 2
    assert traits.repeated(pl.DataFrame({"a": [[1], [1]]})) == 0
