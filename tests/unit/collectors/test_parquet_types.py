"""Parquet of other writers: each logical type is read as what it means, or refused with the column's name."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.lib as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs import store
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors import file_source

MOMENT = dt.datetime(2026, 1, 31, 6, 30, tzinfo=dt.UTC)


def written(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def by_duckdb(tmp_path: Path, select: str) -> bytes:
    path = tmp_path / "x.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def read(tmp_path: Path, *bodies: bytes, **config: Any) -> pl.DataFrame:
    ctx = file_source.surroundings(tmp_path, {f"{place}.parquet": body for place, body in enumerate(bodies)})
    return file_source.rows(ctx, "parquet", file_path="*.parquet", **config)


@pytest.mark.parametrize("zone", ["+05:30", "-03:30", "+01:00", "Nowhere/Land"])
def test_zones_that_are_not_in_the_database_are_utc(tmp_path: Path, zone: str) -> None:
    moments = pa.timestamp("us", zone)
    nested = pa.list_(pa.struct([("t", moments)]))
    body = written(t=pa.array([MOMENT, None], moments), n=pa.array([[{"t": MOMENT}], None], nested))
    rows = read(tmp_path, body)
    assert rows["t"].to_list() == [MOMENT, None]
    assert rows["n"].to_list() == [[{"t": MOMENT}], None]
    assert read(tmp_path, body, written(t=pa.array([None], moments)))["t"].to_list() == [MOMENT, None, None]


def test_zones_of_the_database_stay(tmp_path: Path) -> None:
    rows = read(tmp_path, written(t=pa.array([MOMENT], pa.timestamp("ms", "Europe/Zurich"))))
    assert rows.schema == {"t": pl.Datetime("ms", "Europe/Zurich")}


def test_uuid_json_and_enums_are_texts(tmp_path: Path) -> None:
    select = """SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID AS u, '{"a":"é"}'::JSON AS j, '\\xFF'::BLOB AS b,
        'x'::ENUM('x', 'y') AS e UNION ALL SELECT NULL, NULL, NULL, NULL"""
    rows = read(tmp_path, by_duckdb(tmp_path, select))
    assert rows.rows() == [("6ba7b810-9dad-11d1-80b4-00c04fd430c8", '{"a":"é"}', b"\xff", "x"), (None,) * 4]


@given(value=st.uuids())
@examples(20)
def test_every_uuid_is_its_text(value: uuid.UUID, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("uuid")
    body = by_duckdb(folder, f"SELECT '{value}'::UUID AS u")
    assert read(folder, body, written(u=[str(value)]))["u"].to_list() == [str(value)] * 2


def test_an_interval_is_refused_by_name(tmp_path: Path) -> None:
    ctx = file_source.surroundings(tmp_path, {"a.parquet": by_duckdb(tmp_path, "SELECT 1 AS n, INTERVAL 1 MONTH AS i")})
    error = file_source.refusal(ctx, "parquet", file_path="a.parquet")
    assert error.message.startswith("a.parquet: column 'i' is an INTERVAL of months, days and milliseconds")
    assert error.details["field"] == "file_path"


def test_a_nul_in_a_name_is_refused_before_anything_is_stored() -> None:
    with pytest.raises(errors.Permanent, match=r"column 'a␀b' has a NUL in its name"):
        store.reject_names({"ok": pl.Int64(), "a\0b": pl.Int64()})


@pytest.mark.parametrize("wrap", [lambda d: d, pl.List, lambda d: pl.Struct({"x": d})])
def test_fields_that_sql_cannot_tell_apart_are_refused(wrap: Callable[[Any], pl.DataType]) -> None:
    store.reject_names({"s": wrap(pl.Struct({"b": pl.Int64, "c": pl.Int64}))})
    with pytest.raises(errors.Permanent, match="the fields 'B' and 'b' inside of 's' differ only in case"):
        store.reject_names({"s": wrap(pl.Struct({"B": pl.Int64, "b": pl.Int64}))})


def test_a_list_view_is_refused_by_name(tmp_path: Path) -> None:
    body = written(n=[1], v=pa.array([[1]], pa.list_view(pa.int64())))
    ctx = file_source.surroundings(tmp_path, {"a.parquet": body})
    error = file_source.refusal(ctx, "parquet", file_path="a.parquet")
    assert error.message == "a.parquet: column 'v' is a list view, which cannot be read; write it as a list"
