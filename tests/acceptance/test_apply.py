"""A version applied over HTTP: what a model server gets is what was stored, value for value."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.acceptance.served import PASSWORD, serving

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


def test_stored_rows_and_applied_records_are_the_same(tmp_path: Path) -> None:
    lines = [line(n) for n in range(2_000)]
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        served.http.put("/files/orders.csv", content="\n".join([COLUMNS, *lines]).encode())
        document = {"name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv", "infer_rows": 5000}]}
        served.json("POST", "/pipeline/create", status=201, json={**document, "processors": PROCESSORS})
        run = served.json("POST", "/pipeline/orders/execute?wait=30")
        assert run["status"] == "completed", run["error"]
        # a later configuration does not change what version 1 does
        served.json("PUT", "/pipeline/orders/config", json=document)
        stored = served.json("GET", "/pipeline/orders/data?limit=100000&version=1")
        rows = {row["order_id"]: row for row in stored["data"]}

        applied = served.json("POST", "/pipeline/orders/apply", json={"records": [record(t) for t in lines]})
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

        fitted = served.json("GET", "/pipeline/orders/versions/1/fitted")["fitted"]["processors[2]"]["parameters"]
        mean, scale = fitted["normalize"]["price"]["mean"], fitted["normalize"]["price"]["scale"]
        one = served.json("POST", "/pipeline/orders/apply", json={"records": [{**record(lines[0]), "price": mean}]})
        assert one["data"][0]["price"] == 0
        assert scale > 0

        wrong = [record(lines[0]), {**record(lines[1]), "quantity": "many"}]
        refused = served.json("POST", "/pipeline/orders/apply", status=400, json={"records": wrong})
        assert refused["error"]["details"]["field"] == "records[1].quantity"
        again = served.json("POST", "/pipeline/orders/execute?wait=30")
        assert again["version"] == 2
        plain = served.json("POST", "/pipeline/orders/apply", json={"records": [record(lines[0])]})
        assert (plain["version"], plain["data"][0]) == (2, record(lines[0]))
