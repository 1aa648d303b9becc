"""Rows by key over HTTP: keys of each type, from native tables and from Parquet, in each format."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.acceptance.served import PASSWORD, Served, serving

COUNT = 400
MOMENT = dt.datetime(2024, 3, 31, 1, 30, 0, 123456)
FRAME = pl.DataFrame(
    {
        "id": range(COUNT),
        "text": [f"a/b,{n} ü%&?#'\"\\" for n in range(COUNT)],
        "day": [dt.date(1960, 1, 1) + dt.timedelta(days=n) for n in range(COUNT)],
        "money": pl.Series([f"{n}.10" for n in range(COUNT)]).cast(pl.Decimal(12, 2)),
        "moment": [MOMENT + dt.timedelta(seconds=n) for n in range(COUNT)],
        "zoned": pl.Series([MOMENT + dt.timedelta(seconds=n) for n in range(COUNT)]).dt.replace_time_zone("UTC"),
        "small": pl.Series([n % 100 for n in range(COUNT)], dtype=pl.UInt8),
        "kind": pl.Series([f"k{n}" for n in range(COUNT)]).cast(pl.Categorical),
        "share": [n / 4 for n in range(COUNT)],
        "took": pl.Series([n * 10**9 for n in range(COUNT)]).cast(pl.Time),
    }
)
KEYS: dict[str, tuple[str, ...]] = {
    "id": ("id",), "text": ("text",), "day": ("day",), "money": ("money",), "moment": ("moment",),
    "zoned": ("zoned",), "share": ("share",), "kind": ("kind",), "pair": ("text", "small", "day"),
}  # fmt: skip


def shown(value: Any) -> str:
    """A value of the frame in a path or a body."""
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else str(value)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A pipeline for each kind of key with a native table, and one of Parquet alone."""
    file = io.BytesIO()
    FRAME.write_parquet(file)
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000"}
    with serving(tmp_path_factory.mktemp("lookups") / "data", **settings) as served:
        served.login()
        served.http.put("/files/things.parquet", content=file.getvalue()).raise_for_status()
        collectors = [{"type": "parquet", "file_path": "things.parquet"}]
        storages: dict[str, list[dict[str, Any]]] = {
            name: [{"type": "parquet"}, {"type": "duckdb", "primary_key": list(key)}] for name, key in KEYS.items()
        }
        storages["plain"] = [{"type": "parquet", "key": ["id"]}]
        for name, storage in storages.items():
            document = {"name": name, "collectors": collectors, "storage": storage}
            served.json("POST", "/pipeline/create", status=201, json=document)
            assert served.json("POST", f"/pipeline/{name}/execute?wait=60")["status"] == "completed"
        yield served


@pytest.mark.parametrize("name", [*KEYS, "plain"])
def test_keys_of_every_type(served: Served, name: str) -> None:
    key = KEYS.get(name, ("id",))
    stored = served.json("GET", f"/pipeline/{name}/data?limit={COUNT}")
    places = [3, 399, 0]
    values = [[shown(FRAME[column][place]) for column in key] for place in places]
    for place, texts in zip(places, values, strict=True):
        path = ",".join(quote(text, safe="") for text in texts)
        found = served.json("GET", f"/pipeline/{name}/rows/{path}")
        assert found == {
            "pipeline": name, "version": 1, "key": list(key), "columns": stored["columns"],
            "data": [stored["data"][place]], "row_count": 1, "rows": [0], "missing": [],
        }  # fmt: skip
    many = values * 10  # joined, not one by one
    for given in (values, many):
        body = {"keys": given if len(key) > 1 else [one for (one,) in given], "columns": ["took", *key]}
        found = served.json("POST", f"/pipeline/{name}/rows", json=body)
        wanted = [stored["data"][place] for place in places * (len(given) // 3)]
        assert [column["name"] for column in found["columns"]] == ["took", *key]
        assert found["data"] == [{column: row[column] for column in ("took", *key)} for row in wanted]
        assert (found["rows"], found["missing"]) == (list(range(len(given))), [])


def test_keys_that_no_row_has(served: Served) -> None:
    pair = f"{quote(FRAME['text'][3], safe='')},300,1960-01-04"
    for name, path in (("id", "400"), ("id", "-1"), ("id", str(2**100)), ("text", "nothing"), ("money", "1.105"),
                       ("day", "2024-01-01"), ("pair", pair)):  # fmt: skip
        missing = served.json("GET", f"/pipeline/{name}/rows/{path}", status=404)
        assert missing["error"]["code"] == "ROW_NOT_FOUND"
        assert served.http.get(f"/pipeline/{name}/rows/{path}?format=arrow").status_code == 404
    for count in (1, 30):
        keys = [5, 1000, 4, 2**63, 5] * count
        found = served.json("POST", "/pipeline/id/rows", json={"keys": keys, "columns": ["id"]})
        assert [row["id"] for row in found["data"]] == [5, 4, 5] * count
        assert found["rows"] == [place for place, key in enumerate(keys) if key < COUNT]
        assert found["missing"] == [place for place, key in enumerate(keys) if key >= COUNT]


def test_keys_that_python_and_the_join_compare_are_answered_alike(served: Served) -> None:
    everything = [column for column in FRAME.columns if column != "took"]  # a TIME is left to the join
    for name, keys in (
        ("id", [3, -1, 2**63, 399, 3, -(2**63)]),
        ("text", [FRAME["text"][9], "", "none", FRAME["text"][0]]),
    ):
        plain = served.json("POST", f"/pipeline/{name}/rows", json={"keys": keys, "columns": everything})
        joined = served.json("POST", f"/pipeline/{name}/rows", json={"keys": keys})
        assert [{c: row[c] for c in everything} for row in joined["data"]] == plain["data"]
        assert {k: v for k, v in joined.items() if k not in ("data", "columns")} == {
            k: v for k, v in plain.items() if k not in ("data", "columns")
        }
    nothing = served.json(
        "POST", "/pipeline/id/rows", json={"keys": ["1180591620717411303424", 2**63], "columns": ["id"]}
    )
    assert (nothing["data"], nothing["rows"], nothing["missing"]) == ([], [], [0, 1])


def test_rows_in_every_format(served: Served) -> None:
    places = [7, 2, 300]
    for name in ("id", "plain"):
        for form, read in (("arrow", pl.read_ipc_stream), ("parquet", pl.read_parquet)):
            one = served.http.get(f"/pipeline/{name}/rows/7", params={"format": form})
            assert_frame_equal(read(io.BytesIO(one.content)), FRAME[[7]], categorical_as_str=True)
            several = served.http.post(f"/pipeline/{name}/rows", params={"format": form}, json={"keys": places})
            assert_frame_equal(read(io.BytesIO(several.content)), FRAME[places], categorical_as_str=True)
        text = served.http.get(f"/pipeline/{name}/rows/7?columns=id,money", headers={"accept": "text/csv"}).text
        assert text == "id,money\r\n7,7.10\r\n"
        lines = served.http.post(f"/pipeline/{name}/rows?format=ndjson", json={"keys": [9, 500], "columns": ["id"]})
        assert lines.text == '{"id":9}\n'


def test_a_row_has_an_etag_and_a_head(served: Served) -> None:
    first = served.http.get("/pipeline/id/rows/7")
    again = served.http.get("/pipeline/id/rows/7", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = served.http.head("/pipeline/id/rows/7")
    assert (head.status_code, head.headers["etag"], head.content) == (200, first.headers["etag"], b"")
    assert served.http.head("/pipeline/id/rows/1000").status_code == 404
