"""A version applied over HTTP: what a model server gets is what was stored, value for value."""

from __future__ import annotations

import datetime as dt
import io
import random
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from tests.acceptance.served import Served

COLUMNS = "order_id,price,city,quantity,ordered,amount"
PROCESSORS: list[dict[str, Any]] = [
    {
        "type": "cleaner",
        "config": {
            "strip_strings": True,
            "null_values": ["-"],
            "cast": {
                "ordered": {"type": "datetime[Europe/Berlin]", "format": "%Y-%m-%d %H:%M:%S%z"},
                "amount": "decimal(12,2)",
            },
            "filter": "quantity < 9",
            "fill_na": {"price": {"strategy": "median"}},
            "drop_duplicates": ["order_id"],
        },
    },
    {"type": "analyzer", "config": {}},
    {
        "type": "transformer",
        "config": {
            "derive": {"total": "price * quantity"},
            "normalize": {"price": "standard", "quantity": {"method": "robust", "into": "quantity_scaled"}},
            "encode": {"city": {"method": "target", "target": "total", "into": "city_mean"}},
            "bin": {"order_id": {"method": "quantile", "bins": 4, "into": "quarter"}},
            "datetime": {"ordered": {"parts": ["hour", "weekday"], "cyclical": ["hour"]}},
            "lag": {"total": {"order_by": ["order_id"]}},
            "sort": ["-order_id"],
        },
    },
]


def line(number: int) -> str:
    pick = random.Random(number)
    price = pick.choice(["", f"{pick.gauss(50, 20):.2f}"])
    when = f"2024-{pick.randint(1, 12):02}-{pick.randint(1, 28):02} {pick.randint(0, 23):02}:00:00+00:00"
    return f"{number},{price},{pick.choice(['Bern', ' Rome ', 'Łódź', '-'])},{pick.randint(1, 9)},{when},{number}.5"


def record(text: str) -> dict[str, Any]:
    number, price, city, quantity, when, amount = text.split(",")
    return {
        "order_id": int(number), "price": float(price) if price else None, "city": city, "quantity": int(quantity),
        "ordered": when, "amount": float(amount),
    }  # fmt: skip


def test_stored_rows_and_applied_records_are_the_same(empty: Served) -> None:
    lines = [line(n) for n in range(2_000)]
    empty.http.put("/files/orders.csv", content="\n".join([COLUMNS, *lines]).encode())
    document = {"name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv", "infer_rows": 5000}]}
    empty.json("POST", "/pipeline/create", status=201, json={**document, "processors": PROCESSORS})
    run = empty.json("POST", "/pipeline/orders/execute?wait=30")
    assert run["status"] == "completed", run["error"]
    # a later configuration does not change what version 1 does
    empty.json("PUT", "/pipeline/orders/config", json=document)
    stored = empty.json("GET", "/pipeline/orders/data?limit=100000&version=1")
    rows = {row["order_id"]: row for row in stored["data"]}

    applied = empty.json("POST", "/pipeline/orders/apply", json={"records": [record(t) for t in lines]})
    assert applied["columns"] == stored["columns"]
    assert sorted(applied["rows"]) == sorted(rows)
    for place, row in zip(applied["rows"], applied["data"], strict=True):
        assert row == {**rows[place], "total_lag_1": None}
    gone = set(range(2_000)) - set(rows)
    assert applied["dropped"] == [{"index": place, "step": "processors[0]"} for place in sorted(gone)]
    assert [(s["step"], s["operation"], s.get("columns")) for s in applied["skipped"]] == [
        ("processors[0]", "distinct", None),
        ("processors[2]", "per_group", ["total_lag_1"]),
        ("processors[2]", "sort", None),
    ]

    fitted = empty.json("GET", "/pipeline/orders/versions/1/fitted")["fitted"]["processors[2]"]["parameters"]
    mean, scale = fitted["normalize"]["price"]["mean"], fitted["normalize"]["price"]["scale"]
    one = empty.json("POST", "/pipeline/orders/apply", json={"records": [{**record(lines[0]), "price": mean}]})
    assert one["data"][0]["price"] == 0
    assert scale > 0

    wrong = [record(lines[0]), {**record(lines[1]), "quantity": "many"}]
    refused = empty.json("POST", "/pipeline/orders/apply", status=400, json={"records": wrong})
    assert refused["error"]["details"]["field"] == "records[1].quantity"
    again = empty.json("POST", "/pipeline/orders/execute?wait=30")
    assert again["version"] == 2
    plain = empty.json("POST", "/pipeline/orders/apply", json={"records": [record(lines[0])]})
    assert (plain["version"], plain["data"][0]) == (2, record(lines[0]))


def test_what_is_answered_as_data_of_any_kind_can_be_given_back(empty: Served) -> None:
    moment = pl.Series([dt.datetime(2024, 3, 31, 1, 30, 0, 123456), None, dt.datetime(1, 1, 1)])
    kinds = pl.DataFrame(
        {
            "text": ["ä", None, ""], "whole": [2**63 - 1, None, -(2**63)], "flag": [True, None, False],
            "bytes": [b"\x00\xff", None, b""], "list": [[1, None], None, []],
            "object": [{"a": 1, "b": "x"}, None, {"a": None, "b": ""}], "share": [0.1, None, -1e300],
            "amount": pl.Series(["99999999999999999999.99", None, "-0.01"]).cast(pl.Decimal(30, 2)),
            "moment": moment, "zoned": moment.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"),
            "day": moment.dt.date(), "time": moment.dt.time(), "kind": pl.Series(["x", None, "y"]).cast(pl.Categorical),
            "micros": pl.Series([90_000_001, None, -1]).cast(pl.Duration("us")),
            "millis": pl.Series([90_000_001, None, -1]).cast(pl.Duration("ms")),
            "large": pl.Series([2**64 - 1, None, 0], dtype=pl.UInt64),
            "small": pl.Series([-128, None, 127], dtype=pl.Int8),
        }
    )  # fmt: skip
    file = io.BytesIO()
    kinds.write_parquet(file)
    empty.http.put("/files/kinds.parquet", content=file.getvalue())
    document = {"name": "kinds", "collectors": [{"type": "parquet", "file_path": "kinds.parquet"}]}
    empty.json("POST", "/pipeline/create", status=201, json=document)
    assert empty.json("POST", "/pipeline/kinds/execute?wait=30")["status"] == "completed"
    stored = empty.json("GET", "/pipeline/kinds/data")
    for records in (stored["data"], stored["data"][:1]):
        applied = empty.json("POST", "/pipeline/kinds/apply", json={"records": records})
        assert (applied["data"], applied["columns"]) == (records, stored["columns"])
    for form, media in (("arrow", "application/vnd.apache.arrow.stream"), ("ndjson", "application/x-ndjson")):
        content = empty.http.get("/pipeline/kinds/data", params={"format": form}).content
        headers = {"content-type": media, "accept": media}
        applied = empty.http.post("/pipeline/kinds/apply", content=content, headers=headers)
        assert (applied.status_code, applied.headers["content-type"]) == (200, media), applied.text
        assert (applied.headers["penstock-version"], applied.headers["penstock-dropped"]) == ("1", "0")
        if form == "arrow":
            before, after = (pl.read_ipc_stream(io.BytesIO(c)) for c in (content, applied.content))
            assert_frame_equal(before, after, check_exact=True)
        else:
            assert applied.content == content
