"""A private pipeline does not exist for others: attempts to learn of one, by everything that a service answers.

Most attempts are made twice, once with the name of the private pipeline and once with one of the same length that
nobody uses. The answers must be the same but for the name.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving

HIDDEN, UNUSED, CANARY = "salaries", "salariex", "canary-7431"
CSV = f"id,amount,note\n1,10,{CANARY}\n2,-5,{CANARY}\n"
RULES = {"rules": [{"column": "amount", "check": "in_range", "min": 0}], "on_fail": "quarantine"}
_HINT = re.compile(r"; did you mean '[a-z._]*'\?| \(stored: open, [a-z., ]*\)")  # what they say depends on the spelling
_VARYING = {"connection", "date", "x-request-id", "content-length"}


@dataclass
class Caller:
    """A user with a token."""

    http: httpx.Client

    def ask(self, method: str, path: str, *, status: int | None = 200, **request: Any) -> Any:
        answer = self.http.request(method, path, **request)
        assert status is None or answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text

    def same(self, method: str, path: str, *, least: int = 400, **request: Any) -> None:
        """Nothing differs between the private pipeline and none."""
        told = []
        for name in (HIDDEN, UNUSED):
            given = json.loads(json.dumps(request).replace("NAME", name))
            answer = self.http.request(method, path.replace("NAME", name), **given)
            text = answer.text.replace(answer.headers["x-request-id"], "").replace(name, "NAME")
            assert CANARY not in text
            text = _HINT.sub("", text).partition('"steps":')[0]  # of a preview, which took some time
            headers = {k: v.replace(name, "NAME") for k, v in answer.headers.items() if k not in _VARYING}
            told.append((answer.status_code, headers, text))
        assert told[0] == told[1], f"{method} {path}"
        assert told[0][0] >= least, f"{method} {path}: {told[0]}"


@dataclass
class House:
    served: Served
    ann: Caller
    bob: Caller
    vic: Caller
    key: Caller


def config(name: str, *collectors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "collectors": list(collectors) or [{"type": "csv", "file_path": "open.csv"}], **more}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data = tmp_path_factory.mktemp("private") / "data"
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000"}
    with serving(data, **settings) as served, contextlib.ExitStack() as open_clients:
        served.login()
        callers = []
        for name, role in (("ann", "operator"), ("bob", "operator"), ("vic", "viewer")):
            served.json("POST", "/users", status=201, json={"username": name, "password": PASSWORD, "role": role})
            pair = served.json("POST", "/auth/token", json={"username": name, "password": PASSWORD})
            headers = {"authorization": f"Bearer {pair['access_token']}"}
            http = httpx.Client(base_url=served.http.base_url, headers=headers, timeout=PATIENCE, trust_env=False)
            callers.append(Caller(open_clients.enter_context(http)))
            if name == "ann":
                key = http.post("/keys", json={"name": "narrow", "pipelines": ["open*"]}).json()["key"]
        headers = {"authorization": f"Bearer {key}"}
        http = httpx.Client(base_url=served.http.base_url, headers=headers, timeout=PATIENCE, trust_env=False)
        callers.append(Caller(open_clients.enter_context(http)))
        house = House(served, *callers)
        _fill(house.ann)
        yield house


def _fill(ann: Caller) -> None:
    """What ann has: ``salaries`` is private, ``open`` and ``total``, which reads both, are shared."""
    ann.ask("PUT", "/files/pay.csv", status=201, content=CSV.encode())
    ann.ask("PUT", "/files/open.csv", status=201, content=b"id,city\n1,Bern\n")
    pay = {"type": "csv", "file_path": "pay.csv"}
    steps = [{"type": "validator", "config": RULES}]
    schedule = {"schedule": {"cron": "0 0 1 1 *"}}
    ann.ask("POST", "/pipeline/create", status=201, json=config(HIDDEN, pay, processors=steps, **schedule))
    ann.ask("POST", "/pipeline/create", status=201, json=config("open"))
    read = {"type": "pipeline", "name": HIDDEN}
    ann.ask("PATCH", f"/pipeline/{HIDDEN}", json={"visibility": "private"})
    ann.ask("POST", "/pipeline/create", status=201, json=config("total", read))
    for name in (HIDDEN, "open", "total"):
        run = ann.ask("POST", f"/pipeline/{name}/execute?wait=60", status=None)
        assert run["status"] == "completed", run["error"]
    ann.ask("PATCH", "/pipeline/total", json={"visibility": "private"})
    ann.ask("POST", f"/pipeline/{HIDDEN}/versions/1/tag", json={"tag": "stable"})
    ann.ask("PUT", "/queries/pay-day", status=201, json={"sql": f"SELECT note FROM {HIDDEN}"})
    ann.ask("PUT", "/queries/all-tables", status=201, json={"sql": "SHOW TABLES", "cache_seconds": 600})


def test_requirement_43_no_route_tells_of_it(house: House) -> None:
    """Every path below a pipeline, as the service itself lists them, so that a new one is tried as well."""
    document = house.ann.http.get(f"{house.served.address}/docs/openapi.json").json()
    below = [(m, p) for p, of in document["paths"].items() if p.startswith("/api/v1/pipeline/{name}") for m in of]
    assert len(below) > 25
    filled = {"{name}": "NAME", "{number}": "1", "{tag}": "stable", "{key}": "1"}
    for caller in (house.bob, house.vic, house.key):
        for method, path in below:
            path = path.removeprefix("/api/v1")
            for hole, value in filled.items():
                path = path.replace(hole, value)
            assert "{" not in path, "a new kind of path: say what stands there"
            for query in ("", "?bogus=1", "?version=stable&format=csv", "?wait=0&purge=false"):
                caller.same(method.upper(), path + query, json={} if method in ("post", "put", "patch") else None)
    owner = house.ann.ask("GET", f"/pipeline/{HIDDEN}/data")
    assert CANARY in json.dumps(owner), "the owner reads it"


def test_requirement_43_no_run_tells_of_it(house: House) -> None:
    run = house.ann.ask("GET", f"/pipeline/{HIDDEN}/runs")["items"][0]["run_id"]
    other = run[:-1] + ("0" if run[-1] != "0" else "1")
    for path in ("", "/events", "/logs", "/cancel"):
        method = "POST" if path == "/cancel" else "GET"
        answers = [house.bob.http.request(method, f"/runs/{one}{path}") for one in (run, other)]
        assert [a.status_code for a in answers] == [404, 404]
        bodies = [a.json()["error"] | {"request_id": ""} for a in answers]
        assert json.dumps(bodies[0]).replace(run, other) == json.dumps(bodies[1])
    assert house.ann.ask("GET", f"/runs/{run}")["status"] == "completed"


STATEMENTS = [
    "SELECT * FROM NAME", 'SELECT * FROM "NAME@1"', 'SELECT * FROM "NAME@stable"', "FROM NAME__quarantine",
    'FROM "NAME__quarantine@1"', "FROM Name", "DESCRIBE NAME", "SUMMARIZE NAME", "EXPLAIN SELECT note FROM NAME",
    "WITH a AS (FROM NAME) SELECT count(*) FROM a", "SELECT (SELECT max(note) FROM NAME)",
    "SELECT 1 WHERE EXISTS (FROM NAME)",
    "FROM open JOIN NAME USING (id)", "FROM open WHERE id IN (SELECT id FROM NAME)",
    "SELECT CASE WHEN (SELECT count(*) FROM NAME) > 0 THEN 1 / 0 END", "FROM NAMEs", 'FROM "NAME@99"',
    "FROM 'warehouse/NAME/v000001/part-00000.parquet'", "SHOW NAME", "FROM penstock.NAME",
]  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
def test_requirement_43_no_statement_reads_it(house: House, statement: str) -> None:
    for _ in range(2):  # also when a worker and the API know the text
        for caller in (house.bob, house.key):
            caller.same("POST", "/query", json={"sql": statement})
        house.ann.ask("POST", "/query", status=None, json={"sql": statement.replace("NAME", HIDDEN)})


def test_lists_and_system_tables_leave_it_out(house: House) -> None:
    statements = ["SHOW TABLES", *(f"FROM penstock.{t}" for t in (
        "pipelines", "runs", "steps", "versions", "columns", "queries", "quarantine"))]  # fmt: skip
    paths = ["/pipeline", "/pipeline?q=sal", "/schedules", "/tables", "/queries", "/q/all-tables",
             "/pipeline/open/lineage?depth=9", "/pipeline/open/status"]  # fmt: skip
    others = [(caller, False) for caller in (house.bob, house.vic, house.key)]
    for caller, sees in ((house.ann, True), *others, (house.ann, True)):
        told = {sql: caller.ask("POST", "/query", json={"sql": sql}) for sql in statements}
        told |= {path: caller.ask("GET", path) for path in paths}
        told["docs"] = caller.http.get(f"{house.served.address}/docs/openapi.json").text
        text = {where: json.dumps(answer) for where, answer in told.items()}
        hits = {where for where, answer in text.items() if HIDDEN in answer or "pay-day" in answer}
        if sees:
            assert hits == {*statements, *paths, "docs"} - {"/pipeline/open/lineage?depth=9", "/pipeline/open/status"}
        else:
            assert hits == set()
            assert not any(CANARY in answer or "total" in answer.replace('"total"', "") for answer in text.values()
                           if answer is not text["docs"])  # fmt: skip
            assert told["/pipeline"]["total"] == told["/tables"]["total"] == 1
            assert told["/pipeline?q=sal"]["total"] == told["/schedules"]["total"] == 0


def test_errors_do_not_spell_it(house: House) -> None:
    """``did you mean`` knows what the caller sees."""
    for near in ("salarie", "Salaries", "salaries_", "salaries@1"):
        house.bob.same("GET", f"/tables/{near.replace(HIDDEN, 'NAME')}")
        for answer in (
            house.bob.http.get(f"/tables/{near}").text,
            house.bob.http.post("/query", json={"sql": f'FROM "{near}x"'}).text,
            house.bob.http.post("/pipeline/validate", json=config("n", trigger={"after": ["salarie"]})).text,
        ):
            assert f"'{HIDDEN}'" not in answer
            assert "did you mean" not in answer
    for path in ("/queries/pay-da", "/q/pay-da", "/queries/pay-day", "/q/pay-day"):
        unknown = house.bob.http.get(path)
        assert unknown.status_code == 404
        assert "did you mean" not in unknown.text
    assert house.bob.http.delete("/queries/pay-day").status_code == 404
    taken = house.bob.http.put("/queries/pay-day", json={"sql": "SELECT 1"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "CONFLICT")


SOURCES: list[dict[str, Any]] = [
    config("x1", {"type": "pipeline", "name": "NAME"}),
    config("x1", {"type": "pipeline", "name": "NAME", "version": 1}),
    config("x1", {"type": "pipeline", "name": "NAME", "version": "stable"}),
    config("x1", trigger={"after": ["NAME"]}),
    config("NAME"),
    config("x1", processors=[{"type": "validator", "config": {"rules": [
        {"column": "id", "check": "foreign_key", "pipeline": "NAME", "to": "id"}]}}]),
]  # fmt: skip


@pytest.mark.parametrize("document", SOURCES)
def test_no_configuration_finds_it(house: House, document: dict[str, Any]) -> None:
    for path in ("validate", "plan", "preview"):
        house.bob.same("POST", f"/pipeline/{path}", least=200, json=document)


def test_its_name_is_taken_and_no_more(house: House) -> None:
    taken = house.bob.http.post("/pipeline/create", json=config(HIDDEN))
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "PIPELINE_EXISTS")
    assert taken.json()["error"]["message"] == f"the name '{HIDDEN}' is taken; choose another one"


def test_a_run_reads_with_the_rights_of_owner_and_author(house: House) -> None:
    """Neither an own pipeline nor one of the owner lets bob read it."""
    for name in (HIDDEN, UNUSED):
        document = config("mine", {"type": "pipeline", "name": name})
        house.bob.ask("POST", "/pipeline/create", status=201, json=document)
        run = house.bob.ask("POST", "/pipeline/mine/execute?wait=60", status=None)
        assert run["status"] == "failed"
        assert f"no stored version of a pipeline '{name}'" in run["error"]["message"]
        house.bob.ask("DELETE", "/pipeline/mine")
    house.ann.ask("PATCH", "/pipeline/total", json={"visibility": "shared"})
    try:
        stored = house.bob.ask("GET", "/pipeline/total/config")
        house.bob.ask("PUT", "/pipeline/total/config", json=stored)
        run = house.bob.ask("POST", "/pipeline/total/execute?wait=60", status=None)
        assert f"no stored version of a pipeline '{HIDDEN}'" in run["error"]["message"]
        node = house.bob.ask("GET", "/pipeline/total/lineage")["nodes"]
        assert [n["exists"] for n in node if n["name"] == HIDDEN] == [False], "as one that nobody made"
        house.ann.ask("PUT", "/pipeline/total/config", json=stored)
        assert house.bob.ask("POST", "/pipeline/total/execute?wait=60", status=None)["status"] == "completed"
    finally:
        house.ann.ask("PATCH", "/pipeline/total", json={"visibility": "private"})


def test_a_public_query_reads_shared_pipelines_only(house: House) -> None:
    public = {"sql": f"SELECT * FROM {HIDDEN}", "public": True}
    house.served.json("PUT", "/queries/leak", status=400, json=public)
    house.ann.ask("PATCH", "/pipeline/open", json={"visibility": "shared"})
    house.served.json("PUT", "/queries/cities", status=201, json={"sql": "SELECT city FROM open", "public": True})
    assert httpx.get(f"{house.served.address}/api/v1/q/cities").json()["row_count"] == 1
    house.ann.ask("PATCH", "/pipeline/open", json={"visibility": "private"})
    try:
        gone, never = (httpx.get(f"{house.served.address}/api/v1/q/{name}") for name in ("cities", "citiex"))
        assert (gone.status_code, never.status_code) == (401, 401)
        assert house.bob.http.get("/q/cities").status_code == 404
    finally:
        house.ann.ask("PATCH", "/pipeline/open", json={"visibility": "shared"})


def test_requirement_43_only_owner_and_admins_change_it(house: House) -> None:
    refused = house.bob.http.patch("/pipeline/open", json={"visibility": "private"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert house.vic.http.patch("/pipeline/open", json={"visibility": "private"}).status_code == 403
    assert house.ann.http.patch("/pipeline/open", json={}).status_code == 400
    assert house.ann.http.patch("/pipeline/open", json={"visibility": "secret"}).status_code == 400
    given = house.ann.ask("PATCH", "/pipeline/open", json={"owner": "bob"})
    assert given == {"name": "open", "owner": "bob", "visibility": "shared"}
    assert house.ann.http.patch("/pipeline/open", json={"owner": "ann"}).status_code == 403
    house.served.json("PATCH", "/pipeline/open", json={"owner": "ann"})
