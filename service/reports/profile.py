"""The profile page: the profiles of a version as one HTML page that loads nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import UNSET

from service.reports import charts, pages
from service.reports.charts import Chart
from service.reports.pages import visible
from service.values.profile import ColumnProfile, Correlation, Profile

MOST_CHARTS = 200
_LONGEST_LABEL = 24
_FACTS = {
    "missing": "missing", "distinct": "distinct", "min": "min", "max": "max", "mean": "mean", "std": "std",
    "skew": "skew", "kurtosis": "kurtosis", "zeros": "zeros", "negatives": "negatives",
    "min_length": "shortest", "max_length": "longest", "empty": "empty", "true_share": "true",
}  # fmt: skip
"""The figures of a column that the page shows, with their labels."""


@dataclass(frozen=True)
class _Section:
    """What the template shows of one profile; charts are SVG, empty where there is nothing to draw."""

    figures: list[tuple[str, str]]
    warnings: list[str]
    missing: str
    method: str
    correlation: str
    columns: list[_Card]
    undrawn: int


@dataclass(frozen=True)
class _Card:
    """What the template shows of one column."""

    name: str
    type: str
    facts: list[tuple[str, str]]
    chart: str


def page(pipeline: str, version: int, created: str, profiles: list[Profile]) -> str:
    """The page as HTML. Texts from the data are escaped, in the page and in the drawings."""
    return pages.TEMPLATES.get_template("profile.html").render(
        pipeline=pipeline,
        version=version,
        created=created,
        profiles=[_section(profile) for profile in profiles],
    )


def _section(profile: Profile) -> _Section:
    columns = profile.columns
    incomplete = [c for c in columns if c.missing][:MOST_CHARTS]
    shares = list(zip(_labels(c.name for c in incomplete), (c.missing_share for c in incomplete), strict=True))
    names, matrix = _correlated(profile.correlation)
    return _Section(
        figures=[
            ("rows", f"{profile.row_count:,}"),
            ("columns", f"{profile.column_count:,}"),
            ("duplicate rows", f"{profile.duplicate_rows:,}"),
            ("cells missing", _percent(_missing_share(profile))),
        ],
        warnings=[visible(warning.message) for warning in profile.warnings],
        missing=charts.svg(charts.shares(shares, "missing")) if shares else "",
        method=profile.correlation.method,
        correlation=charts.svg(charts.heat_map(_labels(names), matrix)) if len(names) > 1 else "",
        columns=[_card(c, drawn=place < MOST_CHARTS) for place, c in enumerate(columns)],
        undrawn=max(0, len(columns) - MOST_CHARTS),
    )


def _correlated(correlation: Correlation) -> tuple[list[str], list[list[float | None]]]:
    """Names and matrix without the columns that correlate with nothing: constant ones, and those without values."""
    matrix = correlation.matrix
    places = [place for place, row in enumerate(matrix) if any(value is not None for value in row)]
    return [correlation.columns[place] for place in places], [[matrix[a][b] for b in places] for a in places]


def _missing_share(profile: Profile) -> float:
    cells = profile.row_count * len(profile.columns)
    return sum(c.missing for c in profile.columns) / cells if cells else 0.0


def _card(column: ColumnProfile, *, drawn: bool) -> _Card:
    figures = ((key, label, getattr(column, key)) for key, label in _FACTS.items())
    facts = [(label, _figure(key, value)) for key, label, value in figures if value is not UNSET]
    if column.quantiles is not UNSET:
        facts += [(f"{float(q) * 100:g}%", _figure("", v)) for q, v in column.quantiles.items()]
    chart = _chart(column) if drawn else None
    return _Card(
        name=visible(column.name), type=column.type, facts=facts, chart=charts.svg(chart) if chart is not None else ""
    )


def _chart(column: ColumnProfile) -> Chart | None:
    if column.histogram is not UNSET and column.histogram.counts:
        clock = column.type == "time"
        times = clock or column.type.startswith("date")
        return charts.histogram(column.histogram.edges, column.histogram.counts, times=times, clock=clock)
    if column.top is not UNSET and column.top:
        names = _labels(_quoted_if_blank(str(top.value)) for top in column.top)
        return charts.counts(list(zip(names, (top.count for top in column.top), strict=True)), "rows")
    if column.true_share is not UNSET and column.true_share is not None:
        return charts.shares([("true", column.true_share), ("false", 1 - column.true_share)], "share")
    return None


def _figure(key: str, value: float | str | None) -> str:
    if value is None:
        return "–"
    if key == "true_share":
        return _percent(float(value))
    if isinstance(value, float):
        return f"{value:,.1f}" if 1e3 <= abs(value) < 1e15 else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else visible(str(value))


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _quoted_if_blank(text: str) -> str:
    return text if text.strip() else f"'{text}'"


def _labels(texts: Iterable[str]) -> list[str]:
    """Labels that fit, each once: bars of one name would become one bar, so equal ones are numbered."""
    labels: dict[str, None] = {}
    for text in map(visible, texts):
        short = text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 9]}…{text[-8:]}"
        label, count = short, 1
        while label in labels:
            count += 1
            label = f"{short} ({count})"
        labels[label] = None
    return list(labels)
