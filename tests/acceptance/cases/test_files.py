"""What lies in files is stored as it is, or refused with the cause and the setting."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from typing import Any

import polars as pl
import pytest

from tests.acceptance.cases.product import Product

QUOTES = ['1,"He said "hello" to me",5', '2,"he said \\"hi\\"",4', '3,"a" "b",1']
POLYGON = [[[0, 0], [1, 1], [2, 0]]]
MULTIPOLYGON = [[[[5, 5], [6, 6], [7, 5]]]]


@pytest.mark.parametrize("line", QUOTES)
@pytest.mark.parametrize("action", ["fail", "skip", "quarantine"])
def test_quotes_inside_a_quoted_field_are_malformed(product: Product, line: str, action: str) -> None:
    body = f'id,text,n\n0,"fine ""so""",9\n{line}\n9,plain,8\n'
    source = [{"type": "csv", "file_path": "q.csv", "on_malformed": action}]
    done = product.run(files={"q.csv": body}, collectors=source)
    if action == "fail":
        assert "q.csv: line 3" in done.refusal
        return
    assert done.completed.rows() == [(0, 'fine "so"', 9), (9, "plain", 8)]
    assert done.run["warnings"] != []
    assert action == "skip" or (done.rejected is not None and done.rejected.height == 1)


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("schema", [None, {"c": "string"}])
def test_lists_of_different_depth_stay_as_they_were(product: Product, files: int, schema: Any) -> None:
    records = [{"id": 1, "c": POLYGON}, {"id": 2, "c": MULTIPOLYGON}]
    parts = [records] if files == 1 else [records[:1], records[1:]]
    named: Any = {f"{n}.json": json.dumps(part) for n, part in enumerate(parts)}
    source = {"type": "json", "file_path": list(named), **({"schema": schema} if schema else {})}
    done = product.run(files=named, collectors=[source])
    assert [json.loads(value) for value in done.columns["c"]] == [POLYGON, MULTIPOLYGON]
    assert schema or done.run["warnings"] != []


@pytest.mark.parametrize("combined", [False, True])
def test_whole_numbers_beside_floats_lose_no_digit(product: Product, combined: bool) -> None:
    files: Any = {"a.parquet": pl.DataFrame({"v": [9007199254740993]}), "b.parquet": pl.DataFrame({"v": [0.5]})}
    sources: list[dict[str, Any]] = [{"type": "parquet", "file_path": name, "id": name[0]} for name in files]
    if not combined:
        sources = [{"type": "parquet", "file_path": list(files)}]
    done = product.run(files=files, collectors=sources)
    assert done.rows is None or [str(value) for value in done.columns["v"]] == ["9007199254740993", "0.5"]


@pytest.mark.parametrize("name", ["array.json", "lines.json"])
@pytest.mark.parametrize("other", ["", '{"v": [1], "w": "x"}'])
def test_a_key_that_a_record_has_twice(product: Product, name: str, other: str) -> None:
    records = ['{"v": 1, "v": 2}', *([other] if other else [])]
    body = "\n".join(records) if name == "lines.json" else f"[{', '.join(records)}]"
    done = product.run(files={name: body}, collectors=[{"type": "json", "file_path": name}])
    if done.rows is None:
        assert "v" in done.refusal
    else:
        assert str(done.columns["v"][0]) == ("[2]" if other else "2")  # a list of one beside lists
        assert any("v" in str(warning) for warning in done.run["warnings"])


def test_trailing_fields_that_are_left_out(product: Product) -> None:
    body = "version,codename,eol,eol-lts\n10,buster,2022,2024\n14,forky\n15,duke,2031\n"
    source = [{"type": "csv", "file_path": "d.csv", "on_malformed": "pad"}]
    done = product.run(files={"d.csv": body}, collectors=source)
    assert done.columns["eol"] == [2022, None, 2031]
    assert done.columns["eol-lts"] == [2024, None, None]
    assert done.run["warnings"] != []


def test_a_delimiter_at_the_end_of_each_row(product: Product) -> None:
    source = [{"type": "csv", "file_path": "t.csv", "trailing_delimiter": True}]
    done = product.run(files={"t.csv": "A,B,C\n1,4,7,\n2,5,8,\n"}, collectors=source)
    assert done.columns == {"A": [1, 2], "B": [4, 5], "C": [7, 8]}


def test_values_in_paths(product: Product) -> None:
    files: Any = {f"h/year={year}/f.parquet": pl.DataFrame({"x": [year - 2000]}) for year in (2023, 2024)}
    paths = {"file_path": "h/*/f.parquet", "hive_partitioning": True, "filename": "source"}
    done = product.run(files=files, collectors=[{"type": "parquet", **paths}])
    found = sorted(done.completed.select("x", "year", "source").rows())
    assert [(x, int(year)) for x, year, _ in found] == [(23, 2023), (24, 2024)]
    assert all(f"year={2000 + x}" in source for x, _, source in found)


def test_a_duration_is_in_seconds(product: Product) -> None:
    rows = pl.DataFrame({"d": [dt.timedelta(seconds=5)]})
    done = product.run(files={"d.parquet": rows}, collectors=[{"type": "parquet", "file_path": "d.parquet"}])
    assert done.columns["d"][0] in (5, 5.0, dt.timedelta(seconds=5))


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("json", b'[{"a": "\\ud83d"}]', ["surrogate"]),
        ("json", b'[{"a": 1e400}]', ["1e400"]),
        ("json", '[{"a": "é"}]'.encode("latin-1"), ["UTF-8"]),
        ("csv", b"a;b\n1;2\n3;4\n", []),
    ],
)
def test_the_cause_is_named(product: Product, kind: str, body: bytes, words: list[str]) -> None:
    name = f"f.{kind}"
    done = product.run(files={name: body}, collectors=[{"type": kind, "file_path": name}])
    told = str(done.run["error"] or done.run["warnings"])
    assert all(word in told for word in words or ["separator"]), told


def test_compression_is_told_by_content(product: Product) -> None:
    body = gzip.compress(b'[{"a": 1}]')
    done = product.run(files={"x.json": body}, collectors=[{"type": "json", "file_path": "x.json"}])
    assert done.columns == {"a": [1]}


@pytest.mark.parametrize("path", ["../../etc/passwd", "a/../../x.csv", "/etc/passwd"])
@pytest.mark.parametrize("route", ["create", "validate", "plan"])
def test_paths_that_leave_the_folder_are_refused(product: Product, route: str, path: str) -> None:
    collectors = [{"type": "csv", "file_path": path}]
    refused = product.refused(path=f"/pipeline/{route}", collectors=collectors)
    assert refused is not None
    assert "collectors[0].file_path" in str(refused)
