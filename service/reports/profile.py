"""Profile: the profiles of a version as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2

from service.reports import charts

MOST_CHARTS = 200
_LONGEST = 24
"""Letters of a label: what is longer would be cut a second time, at its end."""
_FACTS = {
    "missing": "missing", "distinct": "distinct", "min": "min", "max": "max", "mean": "mean", "std": "std",
    "skew": "skew", "kurtosis": "kurtosis", "zeros": "zeros", "negatives": "negatives",
    "min_length": "shortest", "max_length": "longest", "empty": "empty", "true_share": "true",
}  # fmt: skip
_TEMPLATE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    resources.files("service.reports").joinpath("profile.html").read_text(encoding="utf-8")
)


def page(pipeline: str, version: int, created: str, profiles: list[dict[str, Any]]) -> str:
    """The page as HTML. Texts from the data are escaped, in the page and in the drawings."""
    return _TEMPLATE.render(
        pipeline=pipeline,
        version=version,
        created=created,
        profiles=[_laid_out(profile) for profile in profiles],
    )


def _laid_out(profile: dict[str, Any]) -> dict[str, Any]:
    columns = profile["columns"]
    gappy = [c for c in columns if c["missing"]][:MOST_CHARTS]
    gaps = list(zip(_labels(c["name"] for c in gappy), (c["missing_share"] for c in gappy), strict=True))
    correlation = profile["correlation"]
    related, matrix = _related(correlation)
    return {
        "figures": [
            ("rows", f"{profile['row_count']:,}"),
            ("columns", f"{profile['column_count']:,}"),
            ("duplicate rows", f"{profile['duplicate_rows']:,}"),
            ("cells missing", _percent(_missing_share(profile))),
        ],
        "warnings": [str(w["message"]) for w in profile["warnings"]],
        "missing": charts.svg(charts.shares(gaps, "missing")) if gaps else "",
        "method": correlation["method"],
        "correlation": charts.svg(charts.heat_map(_labels(related), matrix)) if len(related) > 1 else "",
        "columns": [_column(c, drawn=place < MOST_CHARTS) for place, c in enumerate(columns)],
        "undrawn": max(0, len(columns) - MOST_CHARTS),
    }


def _related(correlation: dict[str, Any]) -> tuple[list[str], list[list[float | None]]]:
    """The columns that correlate with anything at all: a constant one, or one without values, would be a white line."""
    matrix = correlation["matrix"]
    kept = [place for place, row in enumerate(matrix) if any(value is not None for value in row)]
    return [correlation["columns"][place] for place in kept], [[matrix[a][b] for b in kept] for a in kept]


def _missing_share(profile: dict[str, Any]) -> float:
    cells = profile["row_count"] * len(profile["columns"])
    return sum(c["missing"] for c in profile["columns"]) / cells if cells else 0.0


def _column(column: dict[str, Any], *, drawn: bool) -> dict[str, Any]:
    facts = [(label, _figure(key, column[key])) for key, label in _FACTS.items() if key in column]
    facts += [(f"{float(q) * 100:g}%", _figure("", v)) for q, v in column.get("quantiles", {}).items()]
    chart = _chart(column) if drawn else None
    return {
        "name": column["name"],
        "type": column["type"],
        "facts": facts,
        "chart": charts.svg(chart) if chart is not None else "",
    }


def _chart(column: dict[str, Any]) -> dict[str, Any] | None:
    bins = column.get("histogram")
    if bins and bins["counts"]:
        clock = column["type"] == "time"
        times = clock or str(column["type"]).startswith("date")
        return charts.histogram(bins["edges"], bins["counts"], times=times, clock=clock)
    if column.get("top"):
        top = column["top"]
        names = _labels(_visible(str(t["value"])) for t in top)
        return charts.counts(list(zip(names, (t["count"] for t in top), strict=True)), "rows")
    if column.get("true_share") is not None:
        share = column["true_share"]
        return charts.shares([("true", share), ("false", 1 - share)], "share")
    return None


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key == "true_share":
        return _percent(value)
    if isinstance(value, float):
        return f"{value:,.1f}" if 1e3 <= abs(value) < 1e15 else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _visible(text: str) -> str:
    return text if text.strip() else f"'{text}'"


def _labels(texts: Iterable[str]) -> list[str]:
    """Labels that fit; bars of one name would become one bar, so those that are alike when cut are numbered."""
    found: dict[str, None] = {}
    for text in texts:
        short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 9]}…{text[-8:]}"
        label, count = short, 1
        while label in found:
            count += 1
            label = f"{short} ({count})"
        found[label] = None
    return list(found)
