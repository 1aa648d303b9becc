"""Comparisons that say nothing are refused, in expressions and in queries; all others are the engine's business."""

from __future__ import annotations

import pytest

from service.expressions import scalar, select
from service.values import dtypes
from service.values.null_row import row

SCHEMA = {
    name: dtypes.parse(kind)
    for name, kind in {
        "s": "string", "e": "enum(a,b)", "i": "int64", "f": "float64", "x": "decimal(5,1)", "b": "boolean", "d": "date",
        "t": "datetime", "z": "datetime[UTC]", "m": "time",
    }.items()
}  # fmt: skip
FRAME = row(SCHEMA).collect()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d > 2024", "'d' (date) cannot be compared with 2024"),
        ("20240101 <= t", "'t' (datetime) cannot be compared with 20240101"),
        ("(z) BETWEEN -1 AND (2)", "'z' (datetime[UTC]) cannot be compared with -1"),
        ("s = 'x' AND NOT (m = 1.5)", "'m' (time) cannot be compared with"),
        ("d = i", "'d' (date) cannot be compared with 'i' (int64)"),
        ("d IS DISTINCT FROM f", "'d' (date) cannot be compared with 'f' (float64)"),
        ("i = DATE '2024-01-01'", "'i' (int64) cannot be compared with CAST('2024-01-01' AS DATE)"),
        ("CASE WHEN d > 5 THEN TRUE END", "'d' (date) cannot be compared with 5"),
        ("x = '5'", "'x' (decimal(5,1)) cannot be compared with '5'"),
        ("b = 'yes'", "'b' (boolean) cannot be compared with 'yes'"),
        ("s = TRUE", "'s' (string) cannot be compared with TRUE"),
        ("d IN (1, 2)", "'d' (date) cannot be compared with 1|cannot check for Date values"),
    ],
)
def test_what_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="cannot") as in_expression:
        scalar.typed(text, FRAME.schema)
    with pytest.raises(ValueError, match="cannot") as in_query:
        select.typed(f"SELECT * FROM input WHERE {text}", FRAME.schema)
    for said in (str(in_expression.value), str(in_query.value).replace('"', "'")):
        assert any(part in said for part in message.split("|"))


@pytest.mark.parametrize(
    "text",
    ["d > '2024-01-01'", "d < t", "i = f", "x > i", "x <= 1.5", "b = 1", "b = 'true'", "s = 5", "e = 'a'", "i = 2.0",
     "d >= DATE '2024-01-01'", "year(d) = 2024", "m < '12:00'", "s IN ('a', 'b')", "f BETWEEN 1 AND x"],
)  # fmt: skip
def test_what_may_be_equal_is_compared(text: str) -> None:
    scalar.typed(text, FRAME.schema)
    select.typed(f"SELECT * FROM input WHERE {text}", FRAME.schema)
