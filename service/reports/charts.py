"""Vega-Lite charts of a profile's figures, rendered to SVG by vl-convert (no browser, no network).

Lines and letters take the colour of the text around them (``currentColor``), so that a chart is readable on paper
and in dark mode; bars have one hue that stands out on both.
"""

from __future__ import annotations

from typing import Any

import vl_convert

Chart = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""

HUE = "#4a86c5"
_WIDTH, _HEIGHT, _BAR = 320, 120, 16
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name; nothing is fetched
_CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "padding": {"left": 25, "top": 5, "right": 5, "bottom": 5},  # the reader's font may be wider than the measured one
    "bar": {"color": HUE},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "tickColor": "currentColor",
        "domainColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "labelLimit": 160,
    },
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "text": {"color": "currentColor"},
}


def svg(chart: Chart) -> str:
    """A chart as an SVG element."""
    text: str = vl_convert.vegalite_to_svg({"$schema": _SCHEMA, "config": _CONFIG, **chart}, allowed_base_urls=[])
    return text


def histogram(edges: list[float], counts: list[int], *, times: bool, clock: bool = False) -> Chart:
    """Bars from edge to edge. With ``times`` the edges are seconds since 1970; with ``clock`` since midnight."""
    scale = 1000.0 if times else 1.0
    bars = [
        {"from": low * scale, "to": high * scale, "count": count}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    kind = "temporal" if times else "quantitative"
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": bars},
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "from",
                "type": kind,
                "title": None,
                "bin": {"binned": True} if not times else None,
                "scale": {"zero": False, **({"type": "utc"} if times else {})},
                "axis": {"tickCount": 6, "grid": False, **({"format": "%H:%M"} if clock else {})},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "count",
                "type": "quantitative",
                "title": "rows",
                "axis": _whole(counts),
            },
            "y2": {"datum": 0},
        },
    }


def shares(entries: list[tuple[str, float]], title: str) -> Chart:
    """A bar for each name, from 0 to 1, with its share in percent."""
    return _bars(
        [{"name": name, "value": share} for name, share in entries], title, {"format": "%", "tickCount": 4}, [0, 1]
    )


def counts(entries: list[tuple[str, int]], title: str) -> Chart:
    """A bar for each name."""
    bars = [{"name": name, "value": count} for name, count in entries]
    return _bars(bars, title, _whole([count for _, count in entries]))


def _whole(counts: list[int]) -> Chart:
    """The axis of a row count: ticks at whole numbers only."""
    axis: Chart = {"format": ",d", "tickCount": 4}
    most = max(counts, default=0)
    return {**axis, "values": list(range(most + 1))} if most <= 4 else axis


def _bars(values: list[Chart], title: str, axis: Chart, domain: list[float] | None = None) -> Chart:
    name = {"field": "name", "type": "nominal", "sort": None, "title": None}
    scale = {"domain": domain} if domain else {}
    value = {"field": "value", "type": "quantitative", "title": title, "scale": scale, "axis": axis}
    return {
        "width": _WIDTH,
        "height": {"step": _BAR},
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {"y": name, "x": value},
    }


def heat_map(names: list[str], matrix: list[list[float | None]]) -> Chart:
    """Correlations from -1 to 1; up to 16 columns, the cells show their numbers."""
    cells = [
        {"a": a, "b": b, "r": value, "shown": "" if value is None else f"{round(value, 2) + 0.0:.2f}"}
        for a, row in zip(names, matrix, strict=True)
        for b, value in zip(names, row, strict=True)
    ]
    axis = {"type": "nominal", "sort": None, "title": None}
    place = {"x": {**axis, "field": "b", "axis": {"labelAngle": -45}}, "y": {**axis, "field": "a"}}
    color = {
        "field": "r",
        "type": "quantitative",
        "title": "r",
        "scale": {"scheme": "redblue", "domain": [-1, 1]},
    }
    # The cells have their own colours, so that their letters need their own, too.
    letters = {
        "condition": {"test": "abs(datum.r) > 0.6", "value": "white"},
        "value": "#222222",
    }
    layers: list[Chart] = [{"mark": "rect", "encoding": {"color": color}}]
    if len(names) <= 16:
        text = {"text": {"field": "shown"}, "color": letters}
        layers.append({"mark": {"type": "text", "fontSize": 10}, "encoding": text})
    step = 34 if len(names) <= 16 else 16
    return {
        "width": {"step": step},
        "height": {"step": step if step < 30 else 24},
        "data": {"values": cells},
        "encoding": place,
        "layer": layers,
    }
