"""Profile: the profiles of a version as one page that needs nothing but itself."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2

from service.reports import charts

MOST_CHARTS = 200
_LONGEST = 40
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
    gaps = [(_short(c["name"]), c["missing_share"]) for c in columns if c["missing"]]
    correlation = profile["correlation"]
    related = len(correlation["columns"]) > 1
    return {
        "figures": [
            ("rows", f"{profile['row_count']:,}"),
            ("columns", f"{profile['column_count']:,}"),
            ("duplicate rows", f"{profile['duplicate_rows']:,}"),
            ("cells missing", _percent(_missing_share(profile))),
        ],
        "warnings": [str(w["message"]) for w in profile["warnings"]],
        "missing": charts.svg(charts.shares(gaps[:MOST_CHARTS], "missing")) if gaps else "",
        "method": correlation["method"],
        "correlation": charts.svg(charts.heat_map([_short(n) for n in correlation["columns"]], correlation["matrix"]))
        if related
        else "",
        "columns": [_column(c, drawn=place < MOST_CHARTS) for place, c in enumerate(columns)],
        "undrawn": max(0, len(columns) - MOST_CHARTS),
    }


def _missing_share(profile: dict[str, Any]) -> float:
    cells = profile["row_count"] * len(profile["columns"])
    return sum(c["missing"] for c in profile["columns"]) / cells if cells else 0.0


def _column(column: dict[str, Any], *, drawn: bool) -> dict[str, Any]:
    facts = [(label, _figure(key, column[key])) for key, label in _FACTS.items() if key in column]
    facts += [(f"{float(q):.0%}", _figure("", v)) for q, v in column.get("quantiles", {}).items()]
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
        times = str(column["type"]).startswith(("date", "datetime"))
        return charts.histogram(bins["edges"], bins["counts"], times=times)
    if column.get("top"):
        return charts.counts([(_short(str(t["value"])), t["count"]) for t in column["top"]], "rows")
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
        return f"{value:,.4g}" if abs(value) < 1e3 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _short(text: str) -> str:
    """A label that fits; no two columns of a chart may become one, so names are cut only where they are long."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 9]}…{text[-8:]}"
