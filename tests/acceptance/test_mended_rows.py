"""Rows in quarantine are mended one by one: a person corrects the values, and only these rows are replayed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.served import Served

P = "/pipeline/orders"
ORDERS = "id,price,city\n1,9.5,Bern\n2,-4,Bern\n3,5,Zurch\n4,-1,Rme\n5,7\n"
RULES = [
    {"column": "price", "check": "in_range", "min": 0},
    {"column": "city", "check": "in_set", "values": ["Bern", "Rome", "Zürich"]},
]


@pytest.fixture
def served(empty: Served) -> Served:
    empty.http.put("/files/orders.csv", content=ORDERS.encode()).raise_for_status()
    document = {
        "name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv", "on_malformed": "quarantine"}],
        "processors": [{"type": "validator", "config": {"rules": RULES, "on_fail": "quarantine"}}],
    }  # fmt: skip
    empty.json("POST", "/pipeline/create", status=201, json=document)
    assert empty.json("POST", f"{P}/execute?wait=60")["rows_rejected"] == 4
    return empty


def place(served: Served, **wanted: Any) -> dict[str, Any]:
    """The name of the row with these values."""
    rows = served.json("GET", f"{P}/quarantine")["data"]
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    return {name: row[f"_{name}"] for name in ("step", "source", "file", "line", "row")}


def replay(served: Served, *rows: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = served.json("POST", f"{P}/quarantine/replay?wait=60", json={"rows": rows}, status=status)
    return answer


def test_mended_rows_pass_and_the_others_stay(served: Served) -> None:
    mended = {**place(served, id=2), "values": {"price": 4}}
    line = {**place(served, _text="5,7"), "values": {"_text": "5,7,Rome"}}
    run = replay(served, mended, line)
    assert (run["status"], run["version"], run["rows_collected"], run["rows_rejected"]) == ("completed", 2, 2, 2), run[
        "error"
    ]
    assert run["replayed_rows"] == [mended, line]
    assert served.json("GET", f"/runs/{run['run_id']}")["replayed_rows"] == [mended, line]
    stored = [(row["id"], row["price"], row["city"]) for row in served.json("GET", f"{P}/data?sort=id")["data"]]
    assert stored == [(1, 9.5, "Bern"), (2, 4.0, "Bern"), (5, 7.0, "Rome")]
    left = served.json("GET", f"{P}/quarantine")
    assert [row["id"] for row in left["data"]] == [3, 4]
    # a row that is mended by half comes back with the reason that is left, and as it is now
    run = replay(
        served, {**place(served, id=3), "values": {"city": "Zürich"}}, {**place(served, id=4), "values": {"price": 1}}
    )
    assert (run["version"], run["rows_stored"], run["rows_rejected"]) == (3, 4, 1)
    (row,) = served.json("GET", f"{P}/quarantine")["data"]
    assert (row["id"], row["price"], [why["rule"] for why in row["_rules"]]) == (4, 1.0, ["city_in_set"])


def test_rows_are_read_by_rule(served: Served) -> None:
    def of(rule: str) -> list[int | None]:
        page = served.json("GET", f"{P}/quarantine", params={"rule": rule})
        assert page["total_rows"] == page["row_count"]
        return [row["id"] for row in page["data"]]

    assert (of("price_in_range"), of("city_in_set"), of("malformed")) == ([2, 4], [3, 4], [None])
    assert of("it's none") == []
    page = served.json("GET", f"{P}/quarantine?rule=city_in_set&limit=1")
    assert (page["total_rows"], page["next_offset"]) == (2, 1)
    (last,) = served.json("GET", f"{P}/quarantine", params={"cursor": page["next"]})["data"]
    assert last["id"] == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row": 99}, "rows[0]: in the quarantine of version 1 this row is not there"),
        ({"values": {"prise": 4}}, "rows[0]: no value 'prise' to mend; did you mean 'price'?"),
        ({"values": {"price": "four"}}, "rows[0]: "),
        ({"values": {"_step": "x"}}, "rows[0]: no value '_step' to mend"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_stored(served: Served, change: dict[str, Any], said: str) -> None:
    run = replay(served, {**place(served, id=2), **change})
    assert run["status"] == "failed", run
    assert run["error"]["message"].startswith(said)
    assert run["error"]["details"]["field"] == "replay.rows[0]"
    assert served.json("GET", f"{P}/versions")["total"] == 1
    assert served.json("GET", f"{P}/quarantine")["total_rows"] == 4


def test_a_row_is_named_once(served: Served) -> None:
    row = place(served, id=2)
    run = replay(served, {**row, "values": {"price": 4}}, {**row, "values": {"price": 5}})
    assert (run["status"], run["error"]["message"]) == ("failed", "rows[1]: this is the row of rows[0]")


def test_a_row_has_a_step(served: Served) -> None:
    wrong = replay(served, {"row": 1}, status=400)
    assert "rows[0]" in wrong["error"]["details"]["field"]
