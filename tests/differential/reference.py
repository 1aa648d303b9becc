"""Steps of processors, each with the same in pandas: configuration, and a function from frame to frame.

pandas has one kind of missing value here: columns are of pandas' own nullable types, so that a null is ``pd.NA`` and
whole numbers stay whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

Frame: TypeAlias = Any  # pandas ships no types
Change = Callable[[Frame], Frame]
NUMBERS, WORDS = ["i", "j", "f"], ["s", "c"]


@dataclass(frozen=True)
class Reference:
    """A step, and what pandas does for it."""

    step: dict[str, Any]
    change: Change


def _assigned(name: str, values: Callable[[Frame], Any]) -> Change:
    return lambda frame: frame.assign(**{name: values(frame)})


def _cleaner(change: Change, **config: Any) -> Reference:
    return Reference({"type": "cleaner", "config": config}, change)


def _transformer(change: Change, **config: Any) -> Reference:
    return Reference({"type": "transformer", "config": config}, change)


def _double(values: Any) -> Any:
    return values.astype("Float64")


def fill_value(random: Random) -> Reference:
    """Nulls of a column become a value."""
    name, value = random.choice([("i", 7), ("j", -1), ("f", 0.5), ("s", "?"), ("b", True)])
    return _cleaner(_assigned(name, lambda frame: frame[name].fillna(value)), fill_na={name: value})


def fill_statistic(random: Random) -> Reference:
    """Nulls become the mean or median of the others."""
    name, how = "f", random.choice(["mean", "median", "min", "max"])
    fill = _assigned(name, lambda frame: frame[name].fillna(getattr(frame[name], how)()))
    return _cleaner(fill, fill_na={name: {"strategy": how}})


def fill_neighbour(random: Random) -> Reference:
    """Nulls become the value before or after them."""
    name, how = random.choice(["i", "f", "s", "d"]), random.choice(["forward", "backward"])

    def change(frame: Frame) -> Frame:
        column = frame[name]
        return frame.assign(**{name: column.ffill() if how == "forward" else column.bfill()})

    return _cleaner(change, fill_na={name: {"strategy": how}})


def drop_na(random: Random) -> Reference:
    """Rows with nulls in any or all of some columns go."""
    names, how = random.sample(["i", "j", "f", "s", "c", "b"], 2), random.choice(["any", "all"])
    return _cleaner(lambda frame: frame.dropna(subset=names, how=how), drop_na={"columns": names, "how": how})


def drop_duplicates(random: Random) -> Reference:
    """One row for each value, or none of those that repeat."""
    names, keep = random.sample(["c", "b", "j"], random.randint(1, 2)), random.choice(["first", "last", "none"])
    which: Any = False if keep == "none" else keep
    setting = {"columns": names, "keep": keep}
    return _cleaner(lambda frame: frame.drop_duplicates(subset=names, keep=which), drop_duplicates=setting)


def replace(random: Random) -> Reference:
    """Values become others."""
    return _cleaner(
        _assigned("c", lambda frame: frame["c"].replace({"x": "ex", "y": "why"})),
        replace={"c": {"x": "ex", "y": "why"}},
    )


def strip(random: Random) -> Reference:
    """Blanks around texts go."""
    return _cleaner(_assigned("s", lambda frame: frame["s"].str.strip()), strip_strings=["s"])


def null_values(random: Random) -> Reference:
    """Some texts mean missing."""
    change = _assigned("s", lambda frame: frame["s"].mask(frame["s"].isin(["", "%"]).fillna(False), pd.NA))
    return _cleaner(change, null_values=["", "%"])


def filter_rows(random: Random) -> Reference:
    """Rows for which a condition does not hold, or is unknown, go."""
    bound = random.randint(-5, 5)
    return _cleaner(lambda frame: frame[(frame["i"] > bound).fillna(False)], filter=f"i > {bound}")


def select(random: Random) -> Reference:
    """Some of the columns, one of them under another name."""
    names = random.sample(["i", "j", "f", "s", "d"], 3)
    return _cleaner(
        lambda frame: frame[["k", *names]].rename(columns={"k": "key"}),
        rename_columns={"k": "key"}, select_columns=["key", *names],
    )  # fmt: skip


def outliers(random: Random) -> Reference:
    """Values far from the quartiles are clipped, become null, or lose their rows."""
    action, factor = random.choice(["clip", "null", "drop"]), random.choice([0.5, 1.5])

    def change(frame: Frame) -> Frame:
        values = frame["f"].dropna().astype(float)
        if values.empty:
            return frame
        low, high = np.quantile(values, [0.25, 0.75])
        low, high = low - factor * (high - low), high + factor * (high - low)
        outside = ((frame["f"] < low) | (frame["f"] > high)).fillna(False)
        if action == "drop":
            return frame[~outside]
        return frame.assign(f=frame["f"].clip(low, high) if action == "clip" else frame["f"].mask(outside, pd.NA))

    return _cleaner(change, outliers={"f": {"method": "iqr", "factor": factor, "action": action}})


def normalize(random: Random) -> Reference:
    """A column is scaled by what its values are."""
    name, how = random.choice(NUMBERS), random.choice(["standard", "minmax", "maxabs", "robust"])

    def change(frame: Frame) -> Frame:
        values = _double(frame[name])
        known = values.dropna().astype(float)
        centre, spread = _scale(known, how) if len(known) else (0.0, 1.0)
        return frame.assign(z=(values - centre) / (spread or 1.0))

    return _transformer(change, normalize={name: {"method": how, "into": "z"}})


def _scale(known: Any, how: str) -> tuple[float, float]:
    if how == "standard":
        return float(known.mean()), float(known.std(ddof=0))
    if how == "minmax":
        return float(known.min()), float(known.max() - known.min())
    if how == "maxabs":
        return 0.0, float(known.abs().max())
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return float(middle), float(high - low)


def onehot(random: Random) -> Reference:
    """A column for each of the given categories, in place of the column."""

    def change(frame: Frame) -> Frame:
        at, kept = list(frame.columns).index("c"), frame.drop(columns=["c"])
        for number, category in enumerate("xyz"):
            kept.insert(at + number, f"c_{category}", (frame["c"] == category).fillna(False).astype("Int64"))
        return kept

    encode = {"c": {"method": "onehot", "categories": ["x", "y", "z"], "handle_unknown": "null"}}
    return _transformer(change, encode=encode)


def ordinal(random: Random) -> Reference:
    """Sorted categories, counted from zero."""

    def change(frame: Frame) -> Frame:
        order = {value: number for number, value in enumerate(sorted(frame["c"].dropna().unique()))}
        return frame.assign(n=frame["c"].map(order).astype("Int64"))

    return _transformer(change, encode={"c": {"method": "ordinal", "into": "n"}})


def lag(random: Random) -> Reference:
    """The value of the row before, in an order, by group."""
    periods = random.choice([1, 2])
    setting = {"f": {"by": ["c"], "order_by": ["k"], "periods": periods}}

    def change(frame: Frame) -> Frame:
        known = frame.sort_values("k").groupby("c", dropna=False)["f"].shift(periods)
        return frame.assign(**{f"f_lag_{periods}": known.reindex(frame.index)})

    return _transformer(change, lag=setting)


def parts(random: Random) -> Reference:
    """Parts of a date."""

    def change(frame: Frame) -> Frame:
        moments = pd.to_datetime(frame["t"])
        return frame.assign(
            t_year=moments.dt.year.astype("Int64"),
            t_month=moments.dt.month.astype("Int64"),
            t_hour=moments.dt.hour.astype("Int64"),
        )

    return _transformer(change, datetime={"t": {"parts": ["year", "month", "hour"]}})


def sort(random: Random) -> Reference:
    """Rows by columns, nulls last."""
    down = random.random() < 0.5
    key = "-k" if down else "k"
    return _transformer(lambda frame: frame.sort_values("k", ascending=not down), sort=[key])


def derive(random: Random) -> Reference:
    """A column by arithmetic."""
    return _transformer(_assigned("y", lambda frame: frame["i"] + 2 * frame["j"]), derive={"y": "i + 2 * j"})


def bins(random: Random) -> Reference:
    """The number of the bin between given edges; a value at an edge belongs to the bin that it ends."""
    labels = ["low", "middle", "high"]

    def change(frame: Frame) -> Frame:
        cut = pd.cut(frame["j"].astype(float), [-10, -3, 3, 10], labels=labels, include_lowest=True, right=False)
        return frame.assign(q=cut.astype(object).where(cut.notna(), pd.NA).astype("string"))

    setting = {"j": {"method": "edges", "edges": [-10, -3, 3, 10], "labels": labels, "into": "q"}}
    return _transformer(change, bin=setting)


def aggregate(random: Random) -> Reference:
    """One row a group, in the order of the groups' first rows."""

    def change(frame: Frame) -> Frame:
        groups = frame.groupby("c", dropna=False, sort=False)
        found = groups.agg(n=("k", "size"), total=("i", lambda v: v.sum(min_count=1)), low=("f", "min"))
        return found.reset_index()[["c", "n", "total", "low"]]

    metrics = {"n": "count(*)", "total": "sum(i)", "low": "min(f)"}
    return _transformer(change, aggregate={"by": ["c"], "metrics": metrics})


STEPS: list[Callable[[Random], Reference]] = [
    fill_value, fill_statistic, fill_neighbour, drop_na, drop_duplicates, replace, strip, null_values, filter_rows,
    outliers, sort,
]  # fmt: skip
"""Steps that keep the columns, so that any other may follow."""
LAST: list[Callable[[Random], Reference]] = [select, normalize, onehot, ordinal, lag, parts, derive, bins, aggregate]
