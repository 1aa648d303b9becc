"""Records as an Arrow stream: types that lose nothing are taken, all else is named."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow.ipc as arrow_ipc
import pyarrow.lib as pa
import pytest
from polars.testing import assert_frame_equal

from service.kit import errors
from service.values import from_arrow

ipc_stream: Any = arrow_ipc.new_stream
SCHEMA = pl.Schema(
    {
        "a": pl.Int64(), "f": pl.Float64(), "x": pl.Float32(), "s": pl.String(), "c": pl.Categorical(),
        "e": pl.Enum(["x", "y"]), "t": pl.Datetime("us"), "z": pl.Datetime("us", "Europe/Berlin"),
        "m": pl.Decimal(10, 2), "l": pl.List(pl.Int64()), "o": pl.Struct({"p": pl.Int64(), "q": pl.String()}),
        "d": pl.Date(), "b": pl.Boolean(),
    }
)  # fmt: skip
MOMENT = dt.datetime(2024, 3, 31, 12)


def ipc(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_ipc_stream(sink)
    return sink.getvalue()


def given(**changes: Any) -> pl.DataFrame:
    """Two records in other types than those of the schema, which hold the same values."""
    moments = pl.Series([MOMENT, None])
    frame = pl.DataFrame(
        {
            "o": [{"q": "v", "p": 1.0}, None], "f": [1, None], "a": [1.0, None], "x": [0.1, None], "s": ["x", None],
            "c": ["x", None], "e": ["x", None], "t": moments.dt.cast_time_unit("ns"), "b": [True, None],
            "z": moments.dt.replace_time_zone("UTC"), "m": [1.5, None], "d": moments.dt.date(),
            "l": pl.Series([[1], None], dtype=pl.List(pl.Int8)),
        }
    ).with_columns(pl.col("s").cast(pl.Categorical))  # fmt: skip
    return frame.with_columns(**{name: pl.Series(values) for name, values in changes.items()})


def test_other_types_are_taken_where_nothing_is_lost() -> None:
    table = from_arrow.table(ipc(given()), SCHEMA, 2)
    assert table.schema == SCHEMA
    assert table.row(0, named=True) == {
        "a": 1, "f": 1.0, "x": pytest.approx(0.1), "s": "x", "c": "x", "e": "x", "t": MOMENT, "b": True,
        "z": MOMENT.replace(tzinfo=dt.UTC), "m": Decimal("1.5"), "l": [1],
        "o": {"p": 1, "q": "v"}, "d": MOMENT.date(),
    }  # fmt: skip
    assert str(table["m"][0]) == "1.50"
    assert set(table.row(1)) == {None}
    assert_frame_equal(from_arrow.table(ipc(table), SCHEMA, 2), table, check_exact=True)
    assert from_arrow.table(ipc(given(a=[None, None])), SCHEMA, 2)["a"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"a": [1.0, 1.5]}, "records[1].a", "1.5 does not fit an int64"),
        ({"a": ["1", "2"]}, "records.a", "expected an int64, got string"),
        ({"f": [2**53 + 1, 1]}, "records[0].f", "does not fit a float64"),
        ({"e": ["x", "q"]}, "records[1].e", "'q' does not fit an enum(x,y)"),
        ({"t": [1, 2]}, "records.t", "expected a datetime, got int64"),
        ({"t": [MOMENT.replace(tzinfo=dt.UTC)] * 2}, "records.t", "expected a datetime, got datetime[UTC]"),
        ({"m": [1.555, 1.0]}, "records[0].m", "does not fit a decimal(10,2)"),
        ({"l": [[1.5], [1.0]]}, "records[0].l", "[1.5] does not fit a list(int64)"),
        ({"o": [{"p": 1}] * 2}, "records.o", "expected a struct(p: int64, q: string)"),
        ({"s": ["x", "y"], "new": [1, 2]}, "records.new", "no such column"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        from_arrow.table(ipc(given(**changes)), SCHEMA, 2)
    assert refused.value.details["field"] == field
    assert message in refused.value.message


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("1.5"), None], pa.decimal256(60, 2)),
        pa.array([[Decimal("1.5")], None], pa.list_(pa.decimal256(60, 2))),
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])]),
    ],
    ids=lambda column: str(column.type),
)
def test_types_that_the_engine_does_not_have_are_refused(column: Any) -> None:
    sink, table = io.BytesIO(), pa.table({"a": column})
    with ipc_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(errors.Invalid, match="are not taken") as refused:
        from_arrow.table(sink.getvalue(), {"a": pl.Int64()}, 2)
    assert refused.value.details["field"] == "records.a"


def test_lists_of_another_length_are_named() -> None:
    lists = pl.DataFrame({"a": [[1, 2], [1]]})
    with pytest.raises(errors.Invalid, match="cannot be read as an array"):
        from_arrow.table(ipc(lists), {"a": pl.Array(pl.Int64(), 2)}, 2)


def test_other_streams_are_refused() -> None:
    with pytest.raises(errors.Invalid, match="is missing") as missing:
        from_arrow.table(ipc(given().drop("a", "f")), SCHEMA, 2)
    assert [problem["field"] for problem in missing.value.details["errors"]] == ["records.a", "records.f"]
    with pytest.raises(errors.Invalid, match="more than 1 at once"):
        from_arrow.table(ipc(given()), SCHEMA, 1)
    for body in (b"", b"abc", b'{"records": []}', ipc(given())[:700]):
        with pytest.raises(errors.Invalid, match="not an Arrow IPC stream") as refused:
            from_arrow.table(body, SCHEMA, 2)
        assert refused.value.details["field"] == "body"
