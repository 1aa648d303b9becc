"""Records in and rows out: what is answered without DuckDB is what DuckDB answers, and each line names its error."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.jobs import record_formats
from service.jobs.application import MOST_RECORDS, ApplyRequest, RecordFormat
from service.jobs.record_formats import Encoder
from service.kit import errors
from service.query.child import inline, plain_json

SCHEMA = {"a": pl.Int64(), "b": pl.String()}
MOMENTS = pl.Series(
    [dt.datetime(2024, 3, 31, 1, 30, 0, 123456), None, dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1, 10, 0, 0, 500_000),
     dt.datetime(9999, 12, 31, 23, 59, 59, 999_000)]
)  # fmt: skip
PLAIN = pl.DataFrame(
    {
        "flag": [True, None, False, True, True],
        "float": [float("nan"), float("inf"), -0.0, 1e300, None],
        "text": ['ä"\\\n\x00', None, "", "\u2028x", "é/"],
        "day": MOMENTS.dt.date(),
        "micros": MOMENTS,
        "millis": MOMENTS.dt.cast_time_unit("ms"),
        "utc": MOMENTS.dt.replace_time_zone("UTC"),
        "zoned": MOMENTS.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
        "money": pl.Series(["1.50", None, "0", "-0.01", "99999999.99"]).cast(pl.Decimal(30, 2)),
        "fine": pl.Series(["1.5", None, "0", "-0.01", "9.99"]).cast(pl.Decimal(30, 9)),
        "whole": pl.Series(["1", None, "0", "-1", "9"]).cast(pl.Decimal(38, 0)),
        "kind": pl.Series(["x", None, "y", "x", "x"]).cast(pl.Categorical),
        "small": pl.Series([1, None, -128, 0, 1], dtype=pl.Int8),
        "large": pl.Series([2**64 - 1, None, 0, 0, 1], dtype=pl.UInt64),
    }
)
SINGLE = pl.Series([0.1, None, 1e-7, float("nan"), 3.0], dtype=pl.Float32)
NANOS = pl.Series([1_711_848_600_123_456_001, None, 0, 1, -1]).cast(pl.Datetime("ns"))


def rendered(frame: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """What DuckDB makes of the rows in a Parquet file."""
    path = folder / "rows.parquet"
    frame.write_parquet(path)
    found: dict[str, Any] = msgspec.json.decode(inline.rendered(path, {}, {}))
    path.unlink()
    return found


@pytest.mark.parametrize(
    "frame", [PLAIN, PLAIN.with_columns(single=SINGLE, nanos=NANOS), PLAIN.clear(), PLAIN.head(1)],
    ids=["by Python", "by Polars", "nothing", "one"],
)  # fmt: skip
def test_plain_rows_are_what_duckdb_answers(tmp_path: Path, frame: pl.DataFrame) -> None:
    wanted = rendered(frame, tmp_path)
    encoder = Encoder(tmp_path / "nowhere")  # DuckDB could not work there
    found = msgspec.json.decode(encoder.json(frame, {"version": 1}, {"rows": []}))
    assert found == {"version": 1, **wanted, "rows": []}
    lines = [msgspec.json.decode(line) for line in encoder.ndjson(frame).splitlines()]
    assert lines == wanted["data"]
    many = pl.concat([frame] * 100)
    assert [msgspec.json.decode(line) for line in encoder.ndjson(many).splitlines()] == wanted["data"] * 100


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([b"\x00\xff", None]), pl.Series([[1, None], []]), pl.Series([{"p": 1}, None]),
        pl.Series([dt.time(10), None]), pl.Series([dt.timedelta(hours=25), None]), pl.Series([None, None]),
        pl.Series([dt.date(1, 1, 1), dt.date(9999, 12, 31)]).dt.offset_by("1d"),
        pl.Series([2**100, 1], dtype=pl.Int128), pl.Series(["x", None], dtype=pl.Enum(["x"])),
    ],
    ids=lambda column: str(column.dtype),
)  # fmt: skip
def test_other_rows_are_written_by_duckdb(tmp_path: Path, column: pl.Series) -> None:
    frame = pl.DataFrame({"id": [1, 2], "v": column})
    wanted = rendered(frame, tmp_path)
    encoder = Encoder(tmp_path)
    for _ in range(2):
        found = msgspec.json.decode(encoder.json(frame, {"version": 1}, {"rows": [0, 1]}))
        assert found == {"version": 1, **wanted, "rows": [0, 1]}
        assert [msgspec.json.decode(line) for line in encoder.ndjson(frame).splitlines()] == wanted["data"]
        assert list(tmp_path.iterdir()) == []


def test_names_that_sql_cannot_tell_apart_are_not_plain() -> None:
    assert plain_json.columns({"a": pl.Int64(), "A": pl.Int64()}) is None


def decoded(records: bytes, given: RecordFormat) -> list[dict[str, Any]]:
    return record_formats.decode(ApplyRequest(records=records, given=given), SCHEMA).to_dicts()


def test_lines_are_records() -> None:
    text = b'{"a": 1, "b": "x"}\n\r\n  {"b": null, "a": 2}\n'
    assert decoded(text, "ndjson") == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert decoded(b"", "ndjson") == []
    for wrong, field, message in (
        (b'{"a": 1, "b": "x"}\n\nnope\n', "records[1]", "line 3 is not JSON"),
        (b'{"a": 1, "b": "x"}\n{"a": "1", "b": "x"}', "records[1].a", "expected a whole number"),
        (b"[1, 2]", "records[0]", "expected an object"),
        (b'{"a": ' + b"[" * 100_000, "records[0]", "line 1 is not JSON"),
    ):
        with pytest.raises(errors.Invalid, match=message.replace("[", r"\[")) as refused:
            decoded(wrong, "ndjson")
        assert refused.value.details["field"] == field


def test_the_number_of_records_is_bounded() -> None:
    line = b'{"a": 1, "b": "x"}'
    most = [line] * MOST_RECORDS
    assert len(decoded(b"[" + b",".join(most) + b"]", "json")) == MOST_RECORDS
    assert len(decoded(b"\n".join(most), "ndjson")) == MOST_RECORDS
    for text, given in ((b"[" + b",".join([*most, line]) + b"]", "json"), (b"\n".join([*most, line]), "ndjson")):
        with pytest.raises(errors.Invalid, match="more than 10000 at once"):
            decoded(text, given)  # type: ignore[arg-type]
    for text, code in ((b"{}", "VALIDATION_ERROR"), (b"[}", "INVALID_JSON")):
        with pytest.raises(errors.Invalid) as caught:
            decoded(text, "json")
        assert caught.value.error_code == code


def test_a_new_column_needs_a_new_name() -> None:
    record_formats.check_index("place", SCHEMA)
    with pytest.raises(errors.Invalid, match="have a column 'b'"):
        record_formats.check_index("B", SCHEMA)
