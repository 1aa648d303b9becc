"""Collecting through a real service: sources that fail, sources that are larger than the memory of a run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import PASSWORD, Served, serving, staged
from tests.examples import mostly_slow
from tests.unit.collectors.http_api.faulty_source import ALWAYS, ATTEMPTS, FAULTS, RETRY, Source
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

PAGES = 200
RECORDS = 800
NOTE = "n" * 2800
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_RUN_MEMORY_LIMIT": "512MiB",
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
    }
    with serving(tmp_path_factory.mktemp("collecting") / "data", **settings) as served:
        served.login()
        yield served


def run(served: Served, name: str, collector: dict[str, Any]) -> dict[str, Any]:
    document = {"name": name, "collectors": [{"type": "api", **collector}], "storage": [{"type": "parquet"}]}
    served.json("POST", "/pipeline/create", status=201, json=document)
    ended: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=120", timeout=130)
    return ended


def nothing_stored(served: Served, name: str) -> bool:
    """No version, no data, nothing left in staging."""
    assert served.json("GET", f"/pipeline/{name}/data", status=404)["error"]["code"] == "NO_DATA"
    assert served.json("GET", f"/pipeline/{name}/versions")["items"] == []
    return not Path(served.data, "warehouse", name).exists() and not staged(served.data)


@pytest.mark.parametrize("concurrency", mostly_slow([1, 3], [3]))
@pytest.mark.parametrize("borne", [True, False])
def test_faults_cost_retries_or_the_run(served: Served, borne: bool, concurrency: int) -> None:
    """Every kind of fault, as often as the retries bear; and one page that fails for ever."""
    faults: dict[int, list[str]] = {
        n * 2: [*FAULTS[n : n + ATTEMPTS - 1]] for n in range(0, len(FAULTS), ATTEMPTS - 1)
    }  # fmt: skip
    if not borne:
        faults[22] = ["reset", ALWAYS]
    source = Source(40, faults, [2])
    name = f"faults_{borne}_{concurrency}".lower()
    with site.serving(source) as there:
        ended = run(
            served, name,
            {
                "endpoint": f"{there.address}/r", "records_path": "items", "retry": RETRY, "concurrency": concurrency,
                "pagination": {"type": "offset", "limit": 2, "total_path": "total"}, "completeness": "strict",
            },
        )  # fmt: skip
    if borne:
        assert (ended["status"], ended["rows_stored"]) == ("completed", 40), ended["error"]
        data = served.json("GET", f"/pipeline/{name}/data")["data"]
        assert [row["id"] for row in data] == list(range(40))
        (told,) = served.json("GET", f"/pipeline/{name}/versions/1")["sources"]
        assert told["evidence"]["retries"] == source.spent == len(FAULTS)
        assert ended["steps"][0]["evidence"] == told["evidence"]
        return
    assert (ended["status"], ended["version"], ended["rows_stored"]) == ("failed", None, 0)
    assert ended["error"]["details"]["step"] == "collectors[0]"
    assert "connection broke" in ended["error"]["message"]
    (step,) = ended["steps"]
    assert (step["evidence"]["stop_reason"], step["evidence"]["pages"]) == ("failed", 11)
    assert nothing_stored(served, name)


@pytest.mark.slow
def test_more_than_fits_into_memory_goes_through_it(served: Served) -> None:
    """Some 450 MB of records in 200 pages, where a run has 512 MiB and needs 100 of them to be there at all."""

    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        begin = (page - 1) * RECORDS
        items = [{"id": begin + n, "note": f"{begin + n}{NOTE}"} for n in range(RECORDS)] if page <= PAGES else []
        return Reply(json.dumps({"items": items, "total": PAGES * RECORDS}).encode())

    with site.serving(answer) as there:
        ended = run(served, "large", {"endpoint": there.address, "pagination": {"type": "page", "total_path": "total"}})
    assert ended["status"] == "completed", ended["error"]
    assert ended["rows_stored"] == PAGES * RECORDS
    (told,) = served.json("GET", "/pipeline/large/versions/1")["sources"]
    assert told["evidence"]["bytes"] > 425 * MIB
    sql = "SELECT count(DISTINCT id) AS ids, min(length(note)) AS shortest, max(id) AS last FROM large"
    (row,) = served.json("POST", "/query", json={"sql": sql})["data"]
    assert row == {"ids": PAGES * RECORDS, "shortest": len(NOTE) + 1, "last": PAGES * RECORDS - 1}


def test_requirement_49_a_bomb_is_refused_and_harms_nobody(served: Served) -> None:
    body = gzip.compress(b"[" + b" " * 200 * MIB + b"]", 6)
    with site.serving(lambda hit: Reply(body, headers={"content-encoding": "gzip"})) as there:
        ended = run(served, "bomb", {"endpoint": there.address})
    assert ended["status"] == "failed"
    assert "times its size" in ended["error"]["message"]
    assert len(there.hits) == 1
    assert nothing_stored(served, "bomb")


LONG_FIELD = gzip.compress(b"a,b\n1,") + gzip.compress(b"x" * 10 * MIB) * 100  # a gigabyte
HOSTILE: dict[str, bytes] = {
    "open elements": b"<div>" * 1_000_000, "templates": b"<template>" * 100_000,
    "attributes": b"<p " + b"a " * 1_000_000,
    "a field of a gigabyte": LONG_FIELD, "a million columns": b"a," * 1_000_000 + b"\n1,2\n",
    "a quote that stays open": b'a,b\n1,"' + b"x,y\n" * 500_000, "deep JSON": b"[" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("what", mostly_slow(list(HOSTILE), ["templates", "a million columns"]))
def test_requirement_49_a_hostile_file_or_page_ends_its_own_run_only(served: Served, what: str) -> None:
    body, name = HOSTILE[what], what.replace(" ", "_").lower()
    with site.serving(lambda hit: Reply(body, headers={"content-type": "text/html"})) as there:
        collector: dict[str, Any] = {"type": "web", "url": there.address, "respect_robots": False}
        collector["css_selectors"] = {"container": "p", "a": "p"}
        if not body.startswith(b"<"):
            collector = {"type": "json" if body.startswith(b"[") else "csv", "file_path": f"{name}.txt"}
            assert served.http.put(f"/files/{name}.txt", content=body).status_code == 201
        document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}
        served.json("POST", "/pipeline/create", status=201, json=document)
        run_id = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)["run_id"]
        while (run := served.json("GET", f"/runs/{run_id}"))["status"] in ("queued", "running"):
            assert served.http.get(f"{served.address}/health").status_code == 200
    assert (run["status"], run["error"]["details"]["step"]) == ("failed", "collectors[0]"), run
    assert nothing_stored(served, name)
