"""The law of row-local steps, for every operation of every processor: any two parts of the rows, put together again,
are as the rows together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from service.engine.polars_frame import PolarsFrame
from service.steps.context import ProcessContext
from service.steps.frame import Frame, RowLocal
from tests.registry import REGISTRY
from tests.unit.processors.table import decode

CSV = """id,price,city,quantity,day,at
1,1.5, x ,4,2024-01-31,2024-01-31T10:00:00
2,,y,-1,2024-02-01,2024-03-31T02:30:00
3,2.25,,3,,2024-02-29T23:59:59
4,100,x,100,2023-12-31,
5,7.25,ü,,2024-02-29,1969-12-31T00:00:00
"""
NUMBERS = ("price", "quantity", "id")
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"cleaner {key}": ("cleaner", {key: value}) for key, value in {
        "normalize_names": True, "rename_columns": {"id": "key"}, "drop_columns": ["id"],
        "select_columns": ["city", "id"], "strip_strings": True, "null_values": ["y"],
        "replace": {"city": {"y": "z"}, "quantity": {"4": 5}},
        "cast": {"id": "decimal(5,1)", "city": "categorical",
                 "day": {"type": "date", "format": ["%Y-%m-%d", "%d.%m.%Y"]}},
        "filter": "quantity > 0", "drop_na": {"how": "any", "columns": ["city", "price"]},
        "drop_duplicates": {"columns": ["city"], "keep": "last"},
    }.items()},
    **{f"fill {how}": ("cleaner", {"fill_na": {"price": {"strategy": how}, "quantity": {"strategy": how}}})
       for how in ("mean", "median", "mode", "min", "max", "zero", "forward", "backward", "interpolate")},
    **{f"outliers {how} {action}": ("cleaner", {"outliers": {"quantity": {"method": how, "action": action}}})
       for how in ("iqr", "zscore", "quantile") for action in ("clip", "null", "drop")},
    **{f"normalize {how}": ("transformer", {"normalize": dict.fromkeys(NUMBERS, how)})
       for how in ("standard", "minmax", "robust", "maxabs", "log1p")},
    **{f"encode {how} {unknown}": ("transformer", {"encode": {
        "city": {"method": how, "handle_unknown": unknown}, "day": {"method": how, "handle_unknown": unknown}}})
       for how in ("onehot", "ordinal", "frequency", "binary") for unknown in ("null", "other", "fail")},
    "encode hash": ("transformer", {"encode": {"city": {"method": "hash", "buckets": 3}}}),
    "encode target": ("transformer", {"encode": {"city": {"method": "target", "target": "quantity"}}}),
    "bin": ("transformer", {"bin": {
        "price": {"method": "quantile", "bins": 2}, "quantity": {"method": "uniform"},
        "id": {"method": "edges", "edges": [0, 3, 6], "labels": ["few", "many"]}}}),
    "derive": ("transformer", {"derive": {"a": "price / 3", "b": "upper(city) || '!'"}}),
    "datetime": ("transformer", {"datetime": {
        "at": {"parts": ["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "is_weekend", "epoch"],
               "cyclical": ["month", "weekday", "hour"], "drop": True}}}),
    "text": ("transformer", {"text": {"city": ["length", "words", "lower"]}}),
    "windows": ("transformer", {"lag": {"price": {"order_by": ["id"]}},
                                "rolling": {"quantity": {"function": "mean", "window": 2}}}),
    "aggregate": ("transformer", {"aggregate": {"by": ["city"], "metrics": {"n": "count(*)", "s": "sum(price)"}}}),
    "split": ("transformer", {"split": {"key": ["id", "city"]}, "select": ["split", "id"], "sort": ["-id"]}),
    "sql": ("sql", {"query": "SELECT city, price * 2 AS p FROM input WHERE quantity > 0"}),
    "analyzer": ("analyzer", {}),
    **{f"validator {how}": ("validator", {"on_fail": how, "rules": [
        {"column": "price", "check": "not_null"}, {"column": "id", "check": "unique"},
        {"column": "city", "check": "in_set", "values": ["y", "ü"]},
        {"column": "city", "check": "regex", "pattern": "y"},
        {"column": "quantity", "check": "in_range", "min": 0, "max": 10}, {"column": "price", "check": "type",
         "type": "int64"}, {"expression": "price < quantity"}, {"row_count": {"min": 1}}]})
       for how in ("warn", "drop", "quarantine")},
    "doubled": ("doubled", {"column": "price"}),
    "share": ("share", {"column": "price"}),
}  # fmt: skip


class Parted(PolarsFrame):
    """Applies row-local steps to the rows before and after a cut, and puts them together again."""

    cut = 2

    def rows(self, step: RowLocal) -> PolarsFrame:
        parts = [step(self._lf.slice(0, self.cut)), step(self._lf.slice(self.cut))]
        return self._next(pl.concat(parts), expensive=self._expensive)


def applied(kind: type[PolarsFrame], name: str, tmp_path: Path) -> pl.DataFrame:
    source = tmp_path / "orders.csv"
    source.write_text(CSV)
    tag, config = CONFIGS[name]
    if tag in ("doubled", "share"):
        processor: Any = REGISTRY.processors.kinds[tag](**config)
    else:
        processor = decode(tag, config)
    lf = pl.scan_csv(source, try_parse_dates=True)
    frame: Frame = processor.apply(kind(lf, tmp_path), ProcessContext("processors[0]", tmp_path))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_parts_of_the_rows_are_as_the_rows(
    tmp_path: Path, name: str, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parted, "cut", cut)
    whole, parted = applied(PolarsFrame, name, tmp_path), applied(Parted, name, tmp_path)
    assert_frame_equal(whole, parted, check_exact=True, categorical_as_str=True)
