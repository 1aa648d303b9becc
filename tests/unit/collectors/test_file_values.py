"""What the collectors of files share: columns from paths, exact numbers, and units."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.lib as pa
import pyarrow.parquet as pq
import pytest

from service.kit import errors
from service.steps.context import CollectContext
from service.values import polars_errors
from tests.unit.collectors import file_source


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def failure(ctx: CollectContext, **config: Any) -> errors.Permanent:
    """How a run of the parquet collector fails, at collecting or when the plan is executed."""
    try:
        file_source.rows(ctx, "parquet", **config)
    except (errors.Permanent, pl.exceptions.PolarsError) as error:
        translated = polars_errors.translate(error, None)
        assert isinstance(translated, errors.Permanent)
        return translated
    raise AssertionError("it did not fail")


BODIES = {"csv": b"v\n1\n2\n", "json": b'{"v":1}\n{"v":2}\n', "parquet": parquet(v=[1, 2])}


@pytest.fixture(params=["csv", "json", "parquet"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tree(tmp_path: Path, kind: str) -> CollectContext:
    body = BODIES[kind]
    names = ("h/year=2023/m=01/f", "h/year=2024/m=%C3%B6/f", "h/year=2024/m=__HIVE_DEFAULT_PARTITION__/g")
    return file_source.surroundings(tmp_path, {f"{name}.{kind}": body for name in names})


def test_folder_names_become_columns(kind: str, tmp_path: Path) -> None:
    ctx = tree(tmp_path, kind)
    rows = file_source.rows(ctx, kind, file_path=f"h/**/*.{kind}", hive_partitioning=True)
    assert rows.schema == {"v": pl.Int64(), "year": pl.Int64(), "m": pl.String()}
    assert set(rows.rows()[::2]) == {(1, 2023, "01"), (1, 2024, "ö"), (1, 2024, None)}
    assert ctx.report().warnings == ()


def test_folder_names_that_are_not_read_are_a_warning(kind: str, tmp_path: Path) -> None:
    ctx = tree(tmp_path, kind)
    assert file_source.rows(ctx, kind, file_path=f"h/**/*.{kind}").columns == ["v"]
    assert [(w.code, w.details["columns"]) for w in ctx.report().warnings] == [("path_values", ["year", "m"])]


def test_the_file_of_each_row(kind: str, tmp_path: Path) -> None:
    ctx = tree(tmp_path, kind)
    settings = {"file_path": f"h/**/f.{kind}", "filename": "source", "hive_partitioning": False}
    rows = file_source.rows(ctx, kind, **settings, columns=["source", "v"])
    assert rows.columns == ["source", "v"]
    assert set(rows["source"]) == {f"h/year=2023/m=01/f.{kind}", f"h/year=2024/m=%C3%B6/f.{kind}"}
    (tmp_path / "uploads" / f"x.{kind}").write_bytes(BODIES[kind])
    error = file_source.refusal(ctx, kind, file_path=f"x.{kind}", filename="v")
    assert error.details["field"] == "filename"


def test_types_of_path_columns(kind: str, tmp_path: Path) -> None:
    ctx = tree(tmp_path, kind)
    config = {"file_path": f"h/year=2023/*/*.{kind}", "hive_partitioning": True}
    rows = file_source.rows(ctx, kind, **config, schema={"year": "string", "m": "int8"})
    assert rows.rows() == [(1, "2023", 1), (2, "2023", 1)]
    error = file_source.refusal(ctx, kind, **{**config, "file_path": f"h/**/f.{kind}"}, schema={"m": "int8"})
    assert "column 'm': ö in its path is not int8" in error.message
    assert error.details["field"] == "schema.m"


@pytest.mark.parametrize("path", ["../../etc/passwd", "a/../../b.csv", "..", "a\\..\\b"])
@pytest.mark.parametrize("listed", [False, True])
def test_requirement_33_paths_that_lead_out_are_refused_before_anything_runs(
    path: str, listed: bool, kind: str
) -> None:
    problems = list(file_source.collector(kind, file_path=["a.csv", path] if listed else path).problems())
    assert [p.field for p in problems] == ["file_path[1]" if listed else "file_path"]


LONG = 9_007_199_254_740_993


@pytest.mark.parametrize("order", [1, -1])
def test_long_numbers_beside_floats_are_never_rounded(order: int, tmp_path: Path) -> None:
    files = dict([("a.parquet", parquet(v=[1, LONG])), ("b.parquet", parquet(v=[0.5]))][::order])
    ctx = file_source.surroundings(tmp_path, files)
    error = failure(ctx, file_path=list(files))
    assert f"column 'v': {LONG} is not float64 without loss (in a.parquet" in error.message
    assert error.details["field"] == "schema.v"
    rows = file_source.rows(ctx, "parquet", file_path=list(files), schema={"v": "string"})
    assert sorted(rows["v"]) == ["0.5", "1", str(LONG)]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ([1, 2], [0.5], [1.0, 2.0, 0.5]),
        ([[1], []], [[0.5]], [[1.0], [], [0.5]]),
        ([Decimal("1.10")], [Decimal("2.345")], [Decimal("1.100"), Decimal("2.345")]),
        ([Decimal("1.10")], [7], [Decimal("1.10"), Decimal("7.00")]),
        ([Decimal("1.1")], [0.25], [1.1, 0.25]),
    ],
)
def test_numbers_of_different_types_unite(one: Any, other: Any, wanted: list[Any], tmp_path: Path) -> None:
    ctx = file_source.surroundings(tmp_path, {"a.parquet": parquet(v=one), "b.parquet": parquet(v=other)})
    assert file_source.rows(ctx, "parquet", file_path="*.parquet")["v"].to_list() == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([[LONG]], [[0.5]]),
        ([{"a": LONG}], [{"a": 0.5}]),
        (pa.array([2**64 - 1], pa.uint64()), [1]),
        (pa.array([Decimal(10) ** 37], pa.decimal128(38, 0)), pa.array([Decimal("0.123456789")], pa.decimal128(38, 9))),
        (pa.array([Decimal("0.12345678901234567890")]), [0.5]),
        (pa.array([1], pa.timestamp("ns")), pa.array([1], pa.timestamp("us"))),
    ],
    ids=str,
)
def test_what_the_common_type_cannot_hold_is_an_error(one: Any, other: Any, tmp_path: Path) -> None:
    ctx = file_source.surroundings(tmp_path, {"a.parquet": parquet(v=one), "b.parquet": parquet(v=other)})
    assert "without loss (in a.parquet" in failure(ctx, file_path="*.parquet").message


def test_decimals_of_more_digits_than_can_be_read(tmp_path: Path) -> None:
    body = parquet(v=pa.array([Decimal(10) ** 59], pa.decimal256(60, 0)), w=[1])
    ctx = file_source.surroundings(tmp_path, {"a.parquet": body})
    assert (
        "a.parquet: column 'v' is decimal(60,0)" in file_source.refusal(ctx, "parquet", file_path="a.parquet").message
    )
    assert file_source.rows(ctx, "parquet", file_path="a.parquet", columns=["w"]).rows() == [(1,)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_are_seconds(unit: str, tmp_path: Path) -> None:
    values = pa.array([dt.timedelta(seconds=5), dt.timedelta(minutes=-1), None], pa.duration(unit))
    ctx = file_source.surroundings(tmp_path, {"a.parquet": parquet(v=values)})
    assert file_source.rows(ctx, "parquet", file_path="a.parquet")["v"].to_list() == [5.0, -60.0, None]


@pytest.mark.parametrize(
    ("body", "config", "message", "field"),
    [
        (b'[{"a":"\\ud83d"}]', {}, "\\ud83d is half of a surrogate pair", "encoding"),
        (b"<!doctype html><p>Log in", {}, "x.json: the file is an HTML page, not JSON", "file_path"),
        (b"<?xml version='1.0'?><rss/>", {}, "the file is an RSS feed (XML), not JSON", "file_path"),
        (
            b'{"a":"\\ud83d"}\n{"a":"x"}\n',
            {"format": "lines"},
            "line 1: not a JSON object (\\ud83d is half of a surrogate pair",
            "encoding",
        ),
        (b'[{"a":1e400}]', {}, "the number 1e400 is out of range", "file_path"),
        ('[{"a":"é"}]'.encode("latin-1"), {}, "0xE9 is not UTF-8)", "encoding"),
        (b'{"a":1}\n{"a":2}\n', {"format": "document"}, "set format to lines", "format"),
        (b'{"a":1}\n{"a":2}\n', {"records_path": "a"}, "leave out records_path", "records_path"),
    ],
)
def test_json_errors_name_cause_and_setting(
    body: bytes, config: dict[str, Any], message: str, field: str, tmp_path: Path
) -> None:
    ctx = file_source.surroundings(tmp_path, {"x.json": body})
    error = file_source.refusal(ctx, "json", file_path="x.json", **config)
    assert isinstance(error, errors.Permanent)
    assert message in error.message
    assert error.details["field"] == field


@pytest.mark.parametrize("unit", ["document", "lines"])
def test_what_is_not_text_can_be_read(unit: str, tmp_path: Path) -> None:
    record = b'{"a": "x\\ud83d", "b": "\\ud83d\\ude00", "c": "\\\\ud83d", "d": "\xe9"}'
    body = b"[" + record + b"]" if unit == "document" else record + b"\n" + record
    ctx = file_source.surroundings(tmp_path, {"x.json": body})
    rows = file_source.rows(ctx, "json", file_path="x.json", format=unit, encoding="utf-8-lossy")
    assert rows.row(-1) == ("x\ufffd", "\U0001f600", "\\ud83d", "\ufffd")


@pytest.mark.parametrize("lines", ['{"v":1,"v":2}', '{"v":1,"v":2}\n{"v":[1]}', '{"w":{"v":1,"v":2}}\n{"x":1}'])
def test_the_last_of_equal_keys_counts(lines: str, tmp_path: Path) -> None:
    ctx = file_source.surroundings(tmp_path, {"x.ndjson": lines.encode()})
    rows = file_source.rows(ctx, "json", file_path="x.ndjson", format="lines")
    assert rows.row(0)[0] in (2, [2])
    assert [w.details["keys"] for w in ctx.report().warnings if w.code == "duplicate_keys"] == [["v"]]


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("schema", [{}, {"c": "string"}])
def test_lists_of_different_depth_stay_as_they_are(files: int, schema: dict[str, str], tmp_path: Path) -> None:
    polygon, multi = "[[[0,0],[1,0],[0,1]]]", "[[[[0,0],[1,0],[0,1]]]]"
    bodies = [f'{{"c":{polygon}}}\n', f'{{"c":{multi}}}\n']
    texts = ["".join(bodies)] if files == 1 else bodies
    ctx = file_source.surroundings(tmp_path, {f"{n}.json": text.encode() for n, text in enumerate(texts)})
    assert file_source.rows(ctx, "json", file_path="*.json", format="lines", schema=schema)["c"].to_list() == [
        polygon,
        multi,
    ]
    assert [w.code for w in ctx.report().warnings] == ([] if schema else ["mixed_types"])


MIXED = {
    "json": (b'{"v":1}\n', b'{"v":"x"}\n'),
    "parquet": (parquet(v=[1]), parquet(v=["x"])),
}


@pytest.mark.parametrize("kind", MIXED)
def test_numbers_beside_text_in_another_file_are_text_with_a_warning(kind: str, tmp_path: Path) -> None:
    bodies = {f"{place}.{kind}": body for place, body in enumerate(MIXED[kind])}
    ctx = file_source.surroundings(tmp_path, bodies)
    assert file_source.rows(ctx, kind, file_path=list(bodies))["v"].to_list() == ["1", "x"]
    assert [(w.code, w.details["column"]) for w in ctx.report().warnings] == [("mixed_types", "v")]


@pytest.mark.parametrize("other", [["x"], [None]])
def test_text_of_another_type_in_a_file_needs_no_warning(other: list[Any], tmp_path: Path) -> None:
    bodies = {"a.parquet": parquet(v=["y"]), "b.parquet": parquet(v=other)}
    ctx = file_source.surroundings(tmp_path, bodies)
    assert file_source.rows(ctx, "parquet", file_path=list(bodies))["v"].to_list() == ["y", *other]
    assert ctx.report().warnings == ()


def test_a_column_that_is_not_kept_needs_no_warning(tmp_path: Path) -> None:
    bodies = {"a.parquet": parquet(v=[1], k=[1]), "b.parquet": parquet(v=["2"], k=[2])}
    ctx = file_source.surroundings(tmp_path, bodies)
    assert file_source.rows(ctx, "parquet", file_path=list(bodies), columns=["k"])["k"].to_list() == [1, 2]
    assert ctx.report().warnings == ()


def test_a_column_with_a_type_in_schema_is_not_mixed(tmp_path: Path) -> None:
    bodies = {"a.parquet": parquet(v=[1]), "b.parquet": parquet(v=["2"])}
    ctx = file_source.surroundings(tmp_path, bodies)
    assert file_source.rows(ctx, "parquet", file_path=list(bodies), schema={"v": "int64"})["v"].to_list() == [1, 2]
    assert ctx.report().warnings == ()


def test_a_nested_key_and_one_of_its_flat_name_do_not_share_a_column(tmp_path: Path) -> None:
    bodies = {"a.json": b'{"a":{"b":1}}\n', "b.json": b'{"a_b":1}\n'}
    ctx = file_source.surroundings(tmp_path, bodies)
    error = file_source.refusal(ctx, "json", file_path=list(bodies))
    assert "b.json: flattening nested objects gives two columns the name 'a_b' (a.b and a_b)" in error.message
    assert error.details["field"] == "flatten"
