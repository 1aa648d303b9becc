"""HTML that nobody here wrote: pages about Scotland from the nineties that statsmodels ships beside a data set.

They are what the web is: no doctype, tables in tables' clothing, headers of two rows, old encodings.
The data set was made of one of these pages, by other people, so its figures must be the ones that we read.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from statsmodels.datasets import scotland

from tests.acceptance.foreign import collected, started
from tests.acceptance.served import PASSWORD, Served, staged
from tests.acceptance.served import serving as penstock
from tests.acceptance.service import free_port

FOLDER = Path(scotland.__file__).parent
TOKEN = "a-token-of-a-source"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(FOLDER / "src"),
    ]
    yield from started(command, port, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served") / "data"
    allowed = {"PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_SECRET_TOKEN": TOKEN}
    with penstock(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, **allowed) as running:
        running.login()
        yield running


def votes() -> dict[str, float]:
    """Of each council, how many per cent voted yes, as the data set has it."""
    with (FOLDER / "scotvote.csv").open() as file:
        return {row["COUNCILDIST"]: float(row["YES"]) for row in csv.DictReader(file)}


def same_votes(rows: list[tuple[str, str]]) -> None:
    """The shares of all councils, and those of the councils that page and data set call the same."""
    shares = {name: float(share.strip(" %")) for name, share in rows}
    assert sorted(v for name, v in shares.items() if name.lower() not in ("total", "scotland")) == sorted(
        votes().values()
    )
    same = {name: share for name, share in votes().items() if name in shares}
    assert len(same) >= 10
    assert {name: shares[name] for name in same} == same


def test_a_table_holds_the_figures_that_others_read_from_it(pages: str, tmp_path: Path) -> None:
    frame, ctx = collected("web", tmp_path, url=f"{pages}/scotland_devolution.html", table="table:nth-of-type(3)")
    assert frame.columns == ["Authority", "Yes votes", "Yes %", "No votes", "No %"]
    same_votes(frame.select("Authority", "Yes %").rows())
    assert ctx.report().warnings == ()


def test_the_same_figures_by_selectors(pages: str, tmp_path: Path) -> None:
    selectors = {
        "container": "table:nth-of-type(3) tr:nth-child(n+2)", "name": "td:nth-child(1), th:nth-child(1)",
        "yes": {"selector": "td:nth-child(3), th:nth-child(3)", "pattern": r"([\d.]+) ?%", "required": True},
        "cells": {"selector": "td, th", "many": True},
    }  # fmt: skip
    frame, ctx = collected("web", tmp_path, url=f"{pages}/scotland_devolution.html", css_selectors=selectors)
    same_votes(frame.select("name", "yes").rows())
    assert frame["cells"].list.len().unique().to_list() == [5]
    assert ctx.report().warnings == ()


def test_headers_of_two_rows_and_an_old_encoding(pages: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    frame, _ = collected(
        "web", tmp_path / "a", url=f"{pages}/scotland_changes.html", table="center:nth-of-type(3) > table"
    )
    assert frame.columns == [f"Scotland - changes of 1996 {n}" for n in (
        "Administration 1975-1996", "CCC", "Successor Unitary Authorities"
    )]  # fmt: skip
    assert frame.row(0)[:2] == ("Borders", "BOR")
    (tmp_path / "b").mkdir()
    frame, _ = collected("web", tmp_path / "b", url=f"{pages}/scotland_economics.html", table="table:nth-of-type(4)")
    assert "full-time earnings, April 1997 (£)" in str(frame.row(0))
    assert frame.height == 35


def executed(served: Served, name: str, collector: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a pipeline with this collector as it is, and its run."""
    served.json("POST", "/pipeline/create", status=201, json={"name": name, "collectors": [collector]})
    run = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    assert run["status"] == "completed", run["error"]
    data = served.json("GET", f"/pipeline/{name}/data?limit=1000")
    assert data["total_rows"] == run["rows_stored"] == len(data["data"])
    return data["data"], run


def test_what_a_probe_proposes_of_a_page_can_be_posted(served: Served, pages: str) -> None:
    found = served.json("POST", "/pipeline/probe", json={"url": f"{pages}/scotland_devolution.html"})
    assert found["format"] == "html"
    assert found["robots"] == {"allowed": True, "delay_seconds": 0.0}
    assert [t["selector"] for t in found["tables"][:2]] == ["table:nth-of-type(2)", "table:nth-of-type(3)"]
    assert found["tables"][1]["rows"] == len(votes()) + 1
    assert found["structures"]
    rows, _ = executed(served, "first_question", found["collector"])
    assert len(rows) == found["tables"][0]["rows"]
    assert rows[:5] == found["tables"][0]["sample"]
    rows, _ = executed(served, "second_question", found["collector"] | {"table": found["tables"][1]["selector"]})
    same_votes([(row["Authority"], row["Yes %"]) for row in rows])
    structure = found["structures"][0]
    source = {"type": "web", "url": f"{pages}/scotland_devolution.html", "css_selectors": structure["css_selectors"]}
    rows, _ = executed(served, "structure", source)
    assert len(rows) == structure["rows"]
    assert rows[0].keys() == structure["sample"][0].keys()


@pytest.mark.parametrize(
    ("address", "kind", "collector", "stop"),
    [
        ("/shop/orders.json?_shape=objects&_size=40", "link_header", "api", "no_next"),
        ("/shop/orders.json?_shape=array&_size=40", "link_header", "api", "no_next"),
        ("/shop/orders?_size=60", "next_page", "web", "no_next"),
        ("/shop/orders.csv?_stream=on", "none", "api", "single_page"),
    ],
)
def test_what_a_probe_proposes_of_datasette_can_be_posted(
    address: str, kind: str, collector: str, stop: str, served: Served, datasette: str
) -> None:  # fmt: skip
    asked = {"url": datasette + address, "headers": {"Authorization": "Bearer ${TOKEN}"}}
    answer = served.http.post("/pipeline/probe", json=asked)
    assert answer.status_code == 200, answer.text
    assert TOKEN not in answer.text
    found = answer.json()
    assert found["collector"]["type"] == collector
    assert found["collector"]["headers"] == asked["headers"]
    assert (found["pagination"]["type"], found["pagination"]["verified"]) == (kind, kind != "none")
    assert ["code"] in [key["columns"] for key in found["primary_keys"]]
    name = "orders_" + str(abs(hash(address)))
    rows, run = executed(served, name, found["collector"])
    assert [row["code"] for row in rows] == [f"{i:05d}" for i in range(1, 251)]
    evidence = served.json("GET", f"/pipeline/{name}/versions/{run['version']}")["sources"][0]["evidence"]
    assert evidence["stop_reason"] == stop
    samples = {column["name"]: column["samples"] for column in found["columns"]}
    assert samples["code"] == [row["code"] for row in rows[:5]]


def test_a_probe_of_an_upload_can_be_posted(served: Served) -> None:
    text = "Umsätze\nvon gestern\n\nnr;ort;preis\n" + "".join(f"{i:03d};Köln {i};{i},25\n" for i in range(50))
    assert served.http.put("/files/sales.txt", content=text.encode("cp1252")).status_code == 201
    found = served.json("POST", "/pipeline/probe", json={"file_path": "sales.txt"})
    assert found["collector"] == {
        "type": "csv", "file_path": "sales.txt", "separator": ";", "encoding": "cp1252", "skip_rows": 3,
        "decimal_comma": True,
    }  # fmt: skip
    rows, _ = executed(served, "sales", found["collector"])
    assert rows[7] == {"nr": "007", "ort": "Köln 7", "preis": 7.25}
    assert len(rows) == found["sample_rows"] == 50


def test_what_a_probe_is_not_given(served: Served) -> None:
    for asked, said in (
        ({"url": "http://169.254.169.254/latest"}, "refused"), ({"url": "http://10.1.2.3/"}, "refused"),
        ({"file_path": "/etc/passwd"}, "not below the uploads"),
        ({"file_path": "../catalog.duckdb"}, "leads out of the uploads"),
        ({"url": "http://127.0.0.1/", "headers": {"X": "${UNKNOWN}"}}, "PENSTOCK_SECRET_UNKNOWN"),
    ):  # fmt: skip
        error = served.json("POST", "/pipeline/probe", status=400, json=asked)["error"]
        assert said in error["message"]
        assert error["details"].get("step", "probe") == "probe"  # a path may be refused before anything runs
    assert not staged(served.data)
