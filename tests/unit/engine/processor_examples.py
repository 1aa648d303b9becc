"""Processors with settings of most kinds, and the rows that they read; for every engine."""

from __future__ import annotations

from typing import Any

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "texts and types": ("cleaner", {
        "normalize_names": True, "strip_strings": True, "null_values": ["-"], "replace": {"city": {"x": "y"}},
        "cast": {"price": "float64", "day": {"type": "date", "format": ["%Y-%m-%d", "%d.%m.%Y"]}},
        "filter": "quantity > 0 or city is null", "drop_na": ["id"],
    }),
    "fills": ("cleaner", {
        "cast": {"Price": "float64"}, "drop_duplicates": {"columns": ["id"], "keep": "last"},
        "fill_na": {"Price": {"strategy": "median"}, "city": {"strategy": "mode"}, "quantity": 0},
        "outliers": {"quantity": {"method": "iqr"}},
    }),
    "models": ("transformer", {
        "derive": {"twice": "quantity * 2", "mark": "coalesce(city, '?') || '!'"},
        "normalize": {"quantity": "standard", "twice": {"method": "robust", "into": "robust"}},
        "encode": {"city": "onehot", "mark": {"method": "ordinal", "handle_unknown": "other"}}, "sort": ["-id"],
    }),
    "features": ("transformer", {
        "bin": {"quantity": {"method": "quantile", "bins": 2, "into": "half"}},
        "encode": {
            "city": {"method": "target", "target": "quantity", "into": "mean"}, "Price": "binary",
            "day": {"method": "hash", "buckets": 7, "into": "bucket"}, "id": {"method": "frequency", "into": "often"},
        },
        "text": {"city": ["length", "words", "lower"]}, "split": {"key": ["id", "city"]},
    }),
}  # fmt: skip
CSV = """id,Price,city,quantity,day
3,1.5, x ,4,2024-01-31
1,-,y,-1,01.02.2024
,2,,3,bad
1,abc,x,100,
2,7.25,ü,,2024-02-29
"""
