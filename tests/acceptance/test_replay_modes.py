"""A replay of the quarantine of an older version, in each mode: no newer row is overwritten or added twice."""

from __future__ import annotations

from typing import Any

from tests.acceptance.served import Served

P = "/pipeline/stock"


class Stock:
    """A pipeline whose validator keeps rows with a high price in quarantine until its bound is raised."""

    def __init__(self, served: Served, **storage: Any) -> None:
        self.served, self.storage = served, storage
        self.put("id,price,note\n")
        served.json("POST", "/pipeline/create", status=201, json=self.document(100))

    def document(self, most: int) -> dict[str, Any]:
        rules = [{"column": "price", "check": "in_range", "max": most}]
        source = {"type": "csv", "file_path": "stock.csv", "schema": {"id": "int64", "price": "int64"}}
        return {
            "name": "stock", "collectors": [source],
            "processors": [{"type": "validator", "config": {"rules": rules, "on_fail": "quarantine"}}],
            "storage": [{"type": "parquet", **self.storage}],
        }  # fmt: skip

    def put(self, text: str) -> None:
        assert self.served.http.put("/files/stock.csv", content=text.encode()).status_code in (200, 201)

    def run(self, *rows: str) -> int:
        """Execute with ``rows``; the version."""
        self.put("\n".join(["id,price,note", *rows, ""]))
        run = self.served.json("POST", f"{P}/execute?wait=60")
        assert run["status"] == "completed", run["error"]
        return int(run["version"])

    def mend(self, most: int) -> None:
        self.served.json("PUT", f"{P}/config", json=self.document(most))

    def replay(self, version: int | None = None, status: int = 200) -> dict[str, Any]:
        body = {} if version is None else {"version": version}
        answer: dict[str, Any] = self.served.json("POST", f"{P}/quarantine/replay?wait=60", json=body, status=status)
        return answer

    def rows(self) -> list[str]:
        return [",".join(map(str, row.values())) for row in self.served.json("GET", f"{P}/data")["data"]]

    def quarantined(self) -> list[tuple[str, str, str | None]]:
        page = self.served.json("GET", f"{P}/quarantine")
        return sorted((r["note"], r["_step"], r["_rules"][0]["rule"]) for r in page["data"])


def test_a_merge_keeps_the_newer_rows(empty: Served) -> None:
    stock = Stock(empty, mode="merge", key="id")
    assert stock.run("1,10,first", "6,10,first", "8,10,first") == 1
    assert stock.run("6,200,second", "7,200,second", "8,200,second", "9,900,second") == 2
    assert stock.run("7,30,third", "8,30,third") == 3
    stock.mend(500)
    run = stock.replay(2)
    assert (run["status"], run["version"], run["rows_rejected"]) == ("completed", 4, 3), run
    assert stock.rows() == ["1,10,first", "6,200,second", "8,30,third", "7,30,third"]  # 6 replaces an older row
    (warning,) = [w for w in run["warnings"] if w["code"] == "newer_rows_kept"]
    assert warning["details"] == {"rows": 2}
    assert "2 rows" in warning["message"]
    assert stock.quarantined() == [
        ("second", "processors[0]", "price_in_range"),
        ("second", "storage[0]", "newer_row"), ("second", "storage[0]", "newer_row"),
    ]  # fmt: skip
    # they come again with those that stay for another reason, and it is still known how old they are
    stock.mend(1_000)
    run = stock.replay()
    assert (run["version"], run["rows_rejected"]) == (5, 2)
    assert stock.rows() == ["1,10,first", "6,200,second", "8,30,third", "7,30,third", "9,900,second"]
    nothing = stock.replay()
    assert (nothing["status"], nothing["error"]["code"]) == ("failed", "NOTHING_PASSED")
    assert "newer_row of storage[0] (2×)" in nothing["error"]["message"]
    assert stock.rows()[2:4] == ["8,30,third", "7,30,third"]


def test_a_merge_takes_the_mended_rows_of_its_newest_run(empty: Served) -> None:
    stock = Stock(empty, mode="merge", key="id")
    assert stock.run("1,10,first", "7,10,first") == 1
    assert stock.run("7,200,second", "8,200,second", "9,200,second", "9,20,then") == 2
    stock.mend(500)
    run = stock.replay()
    assert stock.rows() == ["1,10,first", "7,200,second", "9,20,then", "8,200,second"]  # 9 came twice, and bad first
    assert [w["details"] for w in run["warnings"] if w["code"] == "newer_rows_kept"] == [{"rows": 1}]


def test_no_row_is_appended_twice(empty: Served) -> None:
    stock = Stock(empty, mode="append")
    assert stock.run("1,10,first", "2,200,first", "3,900,first") == 1
    assert stock.run("4,10,second", "5,200,second") == 2
    stock.mend(500)
    assert stock.replay(1)["version"] == 3
    whole = ["1,10,first", "4,10,second", "2,200,first"]
    assert stock.rows() == whole
    for version in (1, 2):  # what was left of both is in the quarantine of version 3
        refused = stock.replay(version, 400)["error"]
        assert (refused["details"]["field"], "replay that" in refused["message"]) == ("version", True)
    assert stock.replay()["version"] == 4
    assert stock.rows() == [*whole, "5,200,second"]
    assert stock.quarantined() == [("first", "processors[0]", "price_in_range")]
    assert stock.run("6,10,third") == 5
    for version in (3, 4):
        assert empty.http.delete(f"{P}/versions/{version}").status_code == 204
    assert "it was deleted since" in stock.replay(1, 400)["error"]["message"]


def test_rows_of_a_run_that_was_replaced_are_not_added_to_those_that_took_their_place(empty: Served) -> None:
    for storage in ({"mode": "replace"}, {"mode": "merge", "key": "id", "full": True, "on_delete": "remove"}):
        stock = Stock(empty, **storage)
        assert stock.run("1,10,first", "2,200,first") == 1
        stock.mend(500)
        assert stock.run("1,10,second", "2,200,second", "3,600,second") == 2
        refused = stock.replay(1, 400)["error"]
        assert refused["details"]["field"] == "version"
        assert "version 2 has all rows of a later run" in refused["message"]
        stock.mend(1_000)
        assert stock.replay(2)["version"] == 3
        assert stock.rows() == ["1,10,second", "2,200,second", "3,600,second"]
        empty.json("DELETE", f"{P}?purge=true")
