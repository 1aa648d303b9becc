"""Exports that Polars writes are, byte for byte, those that DuckDB's rows make; Arrow's have the same columns."""

from __future__ import annotations

import datetime as dt
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.ipc as ipc
import pytest

from service.query.child import arrow_export, encode, exports

TEXTS = [
    "a",
    'q"uo,te',
    None,
    "",
    "line\nbreak",
    "=1+1",
    "+x",
    "-5",
    "@a",
    "\tt",
    "\rr",
    "\nn",
    "＝x",
    "－",
    "ü",
    "\x00",
    "'",
]
MOMENTS = [
    dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 1, 12, 30, 15, 120_000),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_000), dt.datetime(1901, 1, 1, 0, 0, 0, 1000),
]  # fmt: skip
STAMPS = {unit: pl.Series(MOMENTS, dtype=pl.Datetime(unit)) for unit in ("ms", "us", "ns")}
ZONED = pl.Series(MOMENTS, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
WRITTEN = {
    "boolean": pl.Series([True, None, False]),
    "int64": pl.Series([1, None, -(2**63)]),
    "uint64": pl.Series([2**64 - 1, None, 0], dtype=pl.UInt64),
    "int8": pl.Series([-128, None, 127], dtype=pl.Int8),
    "float64": pl.Series([1.0, None, float("nan"), float("inf"), 1e300, 0.1, 1e-7, 1e16, 1e15, 5e-324, -0.0]),
    "float32": pl.Series([1.5, 0.1, None, 1e-8, 3.4e38, 16_777_217.0], dtype=pl.Float32),
    "decimal": pl.Series(["1.50", None, "-2.25"]).cast(pl.Decimal(10, 2)),
    "wide decimal": pl.Series(["1.5", None, "-99999999999999999999999999.25"]).cast(pl.Decimal(38, 10)),
    "text": pl.Series(TEXTS),
    "plain text": pl.Series(["apple", "zebra", None]),
    "no text": pl.Series([None, None], dtype=pl.String),
    "=name, \"'\n": pl.Series([1]),
    "binary": pl.Series([b"abc", None, b"", b"\xff\x00a"]),
    "date": pl.Series([dt.date(2024, 1, 2), None, dt.date(1000, 1, 1), dt.date(9999, 12, 31)]),
    "no date": pl.Series([None, None], dtype=pl.Date),
    **{f"naive {unit}": values for unit, values in STAMPS.items()},
    "whole seconds": STAMPS["us"].head(2),
    "parts": pl.Series([1, 10, 100, 1_234_567, -1, -1_500_000]).cast(pl.Datetime("ns")),
    "UTC": ZONED,
    "Zurich": ZONED.dt.convert_time_zone("Europe/Zurich"),
    "categorical": pl.Series(["b", None, "=x"], dtype=pl.Categorical),
    "enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"])),
    "no rows": pl.Series([], dtype=pl.Int64),
}
NESTED = {
    "list": pl.Series([[1, 2], None, [], [None]]),
    "array": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    "struct": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "deep": pl.Series([[{"a": [1.5, None], "b": {"c": "z"}}], None, [], [None]]),
}
LEFT = {
    "date": pl.Series([dt.date(999, 1, 1)]),
    "late": pl.Series([2**62]).cast(pl.Datetime("us")),
    "time": pl.Series([dt.time(1, 2, 3)]),
    "duration": pl.Series([dt.timedelta(1)]),
    "int128": pl.Series([2**70], dtype=pl.Int128),
    "null": pl.Series([None, None]),
    "dates": pl.Series([[dt.date(2024, 1, 1)]]),
    "zoned ns": ZONED.cast(pl.Datetime("ns", "UTC")),
}


def by_duckdb(parts: list[Path], form: str, **options: Any) -> bytes:
    offset, limit, escape = options.get("offset", 0), options.get("limit"), options.get("escape_formulas", True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = options.get("columns")
        columns = ", ".join(f'"{name}"' for name in names) if names else "*"
        rows = encode.Rows.of(
            connection, f"SELECT {columns} FROM read_parquet({[str(p) for p in parts]}) OFFSET {offset}"
        )
        return b"".join(encode.stream(rows, form, limit, escape_formulas=escape))


def written(export: exports.Export | arrow_export.ArrowExport | None) -> bytes | None:
    if export is None:
        return None
    with tempfile.TemporaryFile(buffering=0) as file:
        export.write(file)
        file.seek(0)
        return file.read(os.fstat(file.fileno()).st_size + 1)


def by_polars(parts: list[Path], form: str, *, memory_bytes: int = 1 << 30, **options: Any) -> bytes | None:
    wanted = {"columns": None, "offset": 0, "limit": None, "escape_formulas": True, **options}
    export = exports.prepared(parts, form=form, memory_bytes=memory_bytes, **wanted)
    return written(export)


@pytest.mark.parametrize("escape_formulas", [True, False])
@pytest.mark.parametrize("form", ["ndjson", "csv"])
@pytest.mark.parametrize("name", list(WRITTEN))
def test_texts_are_the_same(tmp_path: Path, name: str, form: str, escape_formulas: bool) -> None:
    WRITTEN[name].to_frame(name).write_parquet(tmp_path / "part.parquet")
    written = by_polars([tmp_path / "part.parquet"], form, escape_formulas=escape_formulas)
    assert written == by_duckdb([tmp_path / "part.parquet"], form, escape_formulas=escape_formulas)


@pytest.mark.parametrize("name", list(NESTED))
def test_nested_values_are_the_same_in_ndjson_and_left_in_csv(tmp_path: Path, name: str) -> None:
    NESTED[name].to_frame(name).write_parquet(tmp_path / "part.parquet")
    assert by_polars([tmp_path / "part.parquet"], "ndjson") == by_duckdb([tmp_path / "part.parquet"], "ndjson")
    assert by_polars([tmp_path / "part.parquet"], "csv") is None


@pytest.mark.parametrize("name", list(LEFT))
def test_other_values_are_left_to_duckdb(tmp_path: Path, name: str) -> None:
    LEFT[name].to_frame(name).write_parquet(tmp_path / "part.parquet")
    assert by_polars([tmp_path / "part.parquet"], "ndjson") is None


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("parts")
    frame = pl.select(id=pl.int_range(30_000)).with_columns(text=pl.format("n{}", "id"), x=pl.col("id") / 3)
    paths = [folder / f"part-{number}.parquet" for number in range(2)]
    for number, path in enumerate(paths):
        frame.slice(number * 20_000, 20_000).write_parquet(path, row_group_size=5_000)
    return paths


@pytest.mark.parametrize(
    "options",
    [{}, {"offset": 7}, {"limit": 25_000}, {"offset": 19_000, "limit": 3_000, "columns": ["x", "id"]},
     {"offset": 40_000}, {"offset": 29_999}],
)  # fmt: skip
@pytest.mark.parametrize("form", ["ndjson", "csv"])
@pytest.mark.parametrize("budget", [448 << 20, 2 << 20])
def test_parts_and_slices_are_the_same(
    parts: list[Path], options: dict[str, Any], form: str, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_LEAST", 1)
    assert by_polars(parts, form, memory_bytes=(448 << 20) + budget, **options) == by_duckdb(parts, form, **options)


def test_rows_that_do_not_fit_into_the_memory_are_left_to_duckdb(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["x" * 1000 + str(i) for i in range(20_000)]}).write_parquet(tmp_path / "part.parquet")
    assert by_polars([tmp_path / "part.parquet"], "ndjson", memory_bytes=512 << 20) is not None
    assert by_polars([tmp_path / "part.parquet"], "ndjson", memory_bytes=448 << 20) is None
    spans = exports._spans([exports.RowGroup(10_000, 1 << 20, {})] * 4, 10, 0, None, 10 << 20)
    assert spans == [(0, 4_096), (4_096, 15_904), (20_000, 20_000)]
    assert exports._spans([exports.RowGroup(10_000, 20 << 20, {})], 10, 0, None, 10 << 20) is None


def by_arrow(
    parts: list[Path], columns: list[str], *, offset: int = 0, limit: int | None = None, memory_bytes: int = 1 << 30
) -> bytes | None:
    export = arrow_export.prepared(parts, columns, offset=offset, limit=limit, memory_bytes=memory_bytes)
    return written(export)


open_stream: Any = ipc.open_stream


def table(stream: bytes) -> Any:
    return open_stream(stream).read_all()


@pytest.mark.parametrize("name", sorted(WRITTEN.keys() - {"naive ms", "Zurich", "categorical", "enum"}))
def test_arrow_columns_are_the_same(tmp_path: Path, name: str) -> None:
    WRITTEN[name].to_frame(name).write_parquet(tmp_path / "part.parquet")
    written, expected = by_arrow([tmp_path / "part.parquet"], [name]), by_duckdb([tmp_path / "part.parquet"], "arrow")
    assert written is not None
    assert table(written).schema.equals(table(expected).schema, check_metadata=True)
    assert str(table(written).to_pydict()) == str(table(expected).to_pydict())  # a NaN is not equal to itself


@pytest.mark.parametrize("name", ["naive ms", "Zurich", "categorical", "enum", *NESTED, "time", "duration", "int128"])
def test_other_columns_are_left_to_duckdb(tmp_path: Path, name: str) -> None:
    values = {**WRITTEN, **NESTED, **LEFT}[name]
    pl.DataFrame([pl.Series("a", [1] * len(values)), values.alias(name)]).write_parquet(tmp_path / "part.parquet")
    assert by_arrow([tmp_path / "part.parquet"], ["a", name]) is None
    if name != "int128":  # which Arrow's reader knows nowhere in a file
        assert by_arrow([tmp_path / "part.parquet"], ["a"]) is not None


@pytest.mark.parametrize(
    "options",
    [{}, {"offset": 7}, {"limit": 25_000}, {"offset": 19_000, "limit": 3_000}, {"offset": 40_000}, {"offset": 29_999},
     {"offset": 5_000, "limit": 5_000}, {"limit": 0}],
)  # fmt: skip
def test_arrow_parts_and_slices_are_the_same(parts: list[Path], options: dict[str, Any]) -> None:
    written = by_arrow(parts, ["x", "id"], **options)
    if options == {"limit": 0}:
        assert written is None
        return
    assert written is not None
    assert table(written) == table(by_duckdb(parts, "arrow", columns=["x", "id"], **options))


def test_arrow_batches_of_wide_rows_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"a": [f"{i:0100}" for i in range(6_000)]}).write_parquet(tmp_path / "part.parquet")
    monkeypatch.setattr(arrow_export, "_BATCH_BYTES", 1 << 17)
    written = by_arrow([tmp_path / "part.parquet"], ["a"])
    assert written is not None
    assert max(batch.num_rows for batch in open_stream(written)) < 2_000
    assert by_arrow([tmp_path / "part.parquet"], ["a"], memory_bytes=448 << 20) is None


def test_parts_of_other_types_are_left_to_duckdb(tmp_path: Path) -> None:
    paths = [tmp_path / f"part-{number}.parquet" for number in range(2)]
    pl.DataFrame({"a": [1]}).write_parquet(paths[0])
    pl.DataFrame({"a": [1.5]}).write_parquet(paths[1])
    assert by_arrow(paths, ["a"]) is None
    assert by_arrow(paths[:1], ["b"]) is None


def test_an_export_that_is_broken_off_ends_its_thread(parts: list[Path]) -> None:
    class Gone(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: Any) -> int:
            raise BrokenPipeError

    before = threading.active_count()
    export = arrow_export.prepared(parts, ["x", "id"], offset=0, limit=None, memory_bytes=1 << 30)
    assert export is not None
    with pytest.raises(BrokenPipeError):
        export.write(Gone())  # type: ignore[arg-type]
    assert threading.active_count() == before
