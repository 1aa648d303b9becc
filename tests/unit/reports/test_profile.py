"""The profile as a page: whole in itself, its texts escaped, a chart for what can be drawn."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any
from xml.etree import ElementTree

import msgspec
import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.processors.analyzer import Analyzer
from service.reports import charts, pages, profile
from service.steps.context import ProcessContext
from service.values.profile import Profile

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


def profiled(frame: pl.DataFrame, tmp_path: Any, **config: Any) -> Profile:
    ctx = ProcessContext(step="processors[0]", folder=tmp_path)
    Analyzer(**config).apply(PolarsFrame(frame.lazy(), tmp_path), ctx)
    (found,) = ctx.report().profiles
    return found


@pytest.fixture
def sample() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "price": [1.0, 2.5, 2.5, None, math.inf, 9.0],
            "pieces": [1, 2, 2, 3, 4, 5],
            "weight": [0.5, 3.0, 1.0, 2.0, None, 4.0],
            "<b>city</b>": ["Bern", "<script>alert(1)</script>", "Bern", None, "", "Ulm & Co"],
            "day": pl.Series(
                ["2026-01-01", "2026-02-01", None, "2026-03-01", "2026-03-02", "2026-12-31"]
            ).str.to_date(),
            "paid": [True, False, True, None, True, True],
            "empty": pl.Series([None] * 6, dtype=pl.Float64),
        }
    )


def test_a_page_shows_every_column_and_draws_what_it_can(sample: pl.DataFrame, tmp_path: Any) -> None:
    page = profile.page("shop", 3, "2026-11-23 12:00 UTC", [profiled(sample, tmp_path)])
    drawings = SVG.findall(page)
    # missing values, correlation, and a chart each but for the column that has no value
    assert len(drawings) == 2 + 6
    for drawing in drawings:
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert "shop version 3" in page
    for shown in ("price", "pieces", "day", "paid", "empty", "Bern", "Ulm &amp; Co"):
        assert shown in page


def test_texts_of_the_data_are_never_markup(sample: pl.DataFrame, tmp_path: Any) -> None:
    page = profile.page("shop", 3, "now", [profiled(sample, tmp_path)])
    assert "<script" not in page
    assert "<b>city" not in page
    assert "&lt;b&gt;city&lt;/b&gt;" in page


def test_a_page_loads_nothing(sample: pl.DataFrame, tmp_path: Any) -> None:
    page = profile.page("shop", 3, "now", [profiled(sample, tmp_path)])
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!['"]?#)|@import""", page) == []


def test_a_page_without_an_analyzer_says_what_to_do() -> None:
    page = profile.page("shop", 3, "now", [])
    assert "no analyzer" in page
    assert "<svg" not in page


def test_no_rows_and_no_numbers_are_a_page_too(tmp_path: Any) -> None:
    empty = pl.DataFrame({"a": pl.Series([], dtype=pl.Int64), "b": pl.Series([], dtype=pl.String)})
    assert "int64" in profile.page("shop", 1, "now", [profiled(empty, tmp_path)])


def test_columns_that_correlate_with_nothing_are_no_white_lines(tmp_path: Any) -> None:
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 5.0], "same": [7.0] * 3, "none": [None] * 3})
    found = profiled(frame.cast(pl.Float64), tmp_path)
    assert len(found.correlation.columns) == 4
    (drawn,) = (
        d for d in SVG.findall(profile.page("shop", 1, "now", [found])) if ">b</text>" in d and ">r</text>" in d
    )
    assert ">same</text>" not in drawn
    assert ">none</text>" not in drawn
    assert "Correlation" not in profile.page("shop", 1, "now", [profiled(frame.cast(pl.Float64).clear(), tmp_path)])


def test_figures_of_any_size_are_short(tmp_path: Any) -> None:
    page = profile.page("shop", 1, "now", [profiled(pl.DataFrame({"a": [1e300, -1e300, 1e-300, 12345.678]}), tmp_path)])
    assert all(len(text) < 20 for text in re.findall(r"<dd>([^<]*)</dd>", page))
    assert "<dd>1e+300</dd>" in page


def test_times_of_the_day_and_blank_texts_can_be_read(tmp_path: Any) -> None:
    frame = pl.DataFrame({"t": [dt.time(6), dt.time(18, 30)] * 2, "s": ["", " ", "x", "x"]})
    page = profile.page("shop", 1, "now", [profiled(frame, tmp_path)])
    assert re.search(r">\d\d:\d\d</text>", page)
    assert all(f">{label}</text>" in page for label in ("''", "' '", "x"))


def test_every_bar_of_a_histogram_stands_on_the_ground() -> None:
    for times in (False, True):
        drawn = ElementTree.fromstring(charts.svg(charts.histogram([0.0, 1e6, 2e6], [3, 1], times=times)))
        bars = [e.attrib["d"] for e in drawn.iter() if "bar" in e.attrib.get("aria-roledescription", "")]
        assert len(bars) == 2
        heights = [float(re.findall(r"v(-?[\d.]+)", d)[0]) for d in bars]
        assert heights[0] == pytest.approx(3 * heights[1])


def test_long_values_that_are_alike_when_cut_keep_bars_of_their_own(tmp_path: Any) -> None:
    long = pl.DataFrame({"a": [f"{'x' * 40} {middle} {'y' * 40}" for middle in "aabc"]})
    (drawn,) = SVG.findall(profile.page("shop", 1, "now", [profiled(long, tmp_path)]))
    labels = re.findall(r">([^<]*x…y[^<]*)</text>", drawn)
    assert len(labels) == len(set(labels)) == 3
    assert drawn.count('aria-roledescription="bar"') == 3


@pytest.mark.parametrize("chart", [charts.counts([("x", 1)], "rows"), charts.histogram([0.5, 1.5], [1], times=False)])
def test_an_axis_of_rows_counts_whole_rows(chart: dict[str, Any]) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", charts.svg(chart))
    assert [t for t in texts if t in ("0", "1", "0.2")] == ["0", "1"]


def test_shares_near_the_ends_are_told_apart(tmp_path: Any) -> None:
    few = pl.DataFrame({"a": [1.0, 2.0, 3.0]})
    page = profile.page("shop", 1, "now", [profiled(few, tmp_path, quantiles=(0.001, 0.5, 0.999))])
    assert all(f"<dt>{share}</dt>" in page for share in ("0.1%", "50%", "99.9%"))


def test_control_characters_are_shown_as_symbols(tmp_path: Any) -> None:
    frame = pl.DataFrame({"a\x00b": ["x\x00y", "x\x00y", "\x00", "\x1b[0m"], "n": [1, 2, None, 4]})
    page = profile.page("shop", 1, "now", [profiled(frame, tmp_path)])
    assert "\x00" not in page
    assert "\x1b" not in page
    assert all(text in page for text in ("a␀b", "x␀y", ">␀<", "␛[0m"))


def test_characters_that_no_drawing_may_have_are_replaced() -> None:
    # The renderer ends the process that draws them.
    assert pages.visible("a\ufffe\uffffb\ufdd0") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\ufdd0"


def test_a_profile_survives_json(sample: pl.DataFrame, tmp_path: Any) -> None:
    ctx = ProcessContext(step="processors[0]", folder=tmp_path)
    Analyzer().apply(PolarsFrame(sample.lazy(), tmp_path), ctx)
    profiles = ctx.report().profiles
    assert msgspec.json.decode(msgspec.json.encode(profiles), type=tuple[Profile, ...]) == profiles
