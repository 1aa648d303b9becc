"""The client against a real service: a pipeline from its configuration to its frames, typed errors, retries, logins."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest
from rich.console import Console

from service.client import (
    AsyncPenstock,
    ConflictError,
    InvalidError,
    NoService,
    NotFoundError,
    NotLoggedInError,
    OverloadedError,
    Penstock,
    RateLimitedError,
    Run,
    RunFailed,
)
from service.client.progress import Bar, EventParser
from tests.acceptance.served import CSV, PASSWORD, Served

CITIES: dict[str, Any] = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}


@pytest.fixture(scope="module")
def served(plain: Served) -> Served:
    return plain


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Penstock]:
    with Penstock(served.address, username="admin", password=PASSWORD) as logged_in:
        logged_in.upload("cities.csv", CSV.encode())
        logged_in.create(CITIES)
        logged_in.execute("cities")
        yield logged_in


def test_a_pipeline_from_its_configuration_to_frames(client: Penstock) -> None:
    document = {**CITIES, "name": "towns"}
    assert client.validate(document)["valid"] is True
    assert client.create(document).revision == 1
    events: list[dict[str, Any]] = []
    run = client.execute("towns", progress=events.append)
    assert (run.status, run.version, run.progress, run.rows_stored) == ("completed", 1, 100.0, 3)
    assert events[-1]["status"] == "completed"
    whole = pl.DataFrame({"id": [1, 2, 3], "city": ["Bern", "Rome", None]})
    assert client.data("towns").equals(whole)
    assert client.data("towns", columns=["city"], filter="id > 1", sort="-id").rows() == [(None,), ("Rome",)]
    assert client.query("SELECT city FROM towns WHERE id = $id", {"id": 2}).item() == "Rome"
    assert client.query("SELECT count(*) FROM towns WHERE id > ?", [1]).item() == 2
    assert client.stats("towns")["successful_executions"] == 1
    assert [column["name"] for column in client.schema("towns")["columns"]] == ["id", "city"]
    assert [p.name for p in client.pipelines()] == ["cities", "towns"]
    client.delete("towns", purge=True)
    assert [p.name for p in client.pipelines()] == ["cities"]


def test_rows_by_key_and_new_records(client: Penstock) -> None:
    client.upload("goods.csv", b"shop,day,price\na/b,2024-01-01,1.5\nc,2024-01-02,\n")
    csv = {"type": "csv", "file_path": "goods.csv", "try_parse_dates": True}
    fill = {"type": "cleaner", "config": {"fill_na": {"price": {"strategy": "max"}}}}
    storage = [{"type": "duckdb", "primary_key": ["shop", "day"]}]
    client.create({"name": "goods", "collectors": [csv], "processors": [fill], "storage": storage})
    client.execute("goods")
    first, second = dt.date(2024, 1, 1), dt.date(2024, 1, 2)
    assert client.row("goods", "a/b", first) == {"shop": "a/b", "day": first, "price": 1.5}
    with pytest.raises(NotFoundError) as missing:
        client.row("goods", "a/b", second)
    assert missing.value.code == "ROW_NOT_FOUND"
    keys = [("c", second), ("none", first), ("a/b", first)]
    assert client.rows("goods", keys, columns=["price", "shop"], version=1).rows() == [(1.5, "c"), (1.5, "a/b")]
    new: list[dict[str, Any]] = [
        {"shop": "x", "day": first, "price": None}, {"price": 2.0, "shop": "y", "day": None},
    ]  # fmt: skip
    wanted = [(0, "x", first, 1.5), (1, "y", None, 2.0)]
    for records in (new, pl.DataFrame(new)):
        assert client.apply("goods", records, index="n").rows() == wanted
    with pytest.raises(InvalidError) as wrong:
        client.apply("goods", [{"shop": "x", "day": "soon", "price": 1}])
    assert wrong.value.field == "records[0].day"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (dt.date(2024, 1, 2), "DATE"), (dt.datetime(2024, 1, 2, 3, 4, 5, 6), "TIMESTAMP"), (dt.time(1, 2, 3), "TIME"),
        (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "TIMESTAMPTZ"), (dt.timedelta(days=1, microseconds=1), "INTERVAL"),
        (Decimal("12345678901234567890.12"), "DECIMAL(38,2)"), (2**70, "DECIMAL(38,0)"), (float("inf"), "DOUBLE"),
        ((1, 2), "BIGINT[]"),
    ],
)  # fmt: skip
def test_parameters_of_a_statement_are_values_of_python(client: Penstock, value: Any, kind: str) -> None:
    found = client.query(f"SELECT CAST(? AS {kind}) AS value", [value])["value"].to_list()
    assert found == [list(value) if isinstance(value, tuple) else value]
    with pytest.raises(TypeError, match="unhex"):
        client.query("SELECT $a", {"a": b"x"})


def test_versions_and_tags(client: Penstock) -> None:
    client.upload("cities.csv", (CSV + "4,Oslo\n").encode())
    run = client.execute("cities", progress=False)
    assert run.version is not None
    client.tag("cities", run.version, "stable")
    assert client.tags("cities") == {"stable": run.version}
    assert client.version("cities", "stable").rows == 4
    assert client.diff("cities", run.version)["rows"]["added"] == 1
    client.untag("cities", "stable")
    assert [version.version for version in client.versions("cities")] == [run.version, run.version - 1]
    assert [r.version for r in client.runs("cities")] == [run.version, run.version - 1]


def test_saved_queries(client: Penstock) -> None:
    least = {"least": {"type": "integer", "default": 1}}
    saved = client.save_query("from-id", "SELECT id FROM cities WHERE id >= $least ORDER BY id", parameters=least)
    assert saved.columns == [{"name": "id", "type": "BIGINT"}]
    assert client.answer("from-id", least=3)["id"].to_list()[0] == 3
    assert [query.name for query in client.queries()] == ["from-id"]
    client.delete_query("from-id")


def test_errors_have_their_class_code_field_and_hint(client: Penstock) -> None:
    with pytest.raises(InvalidError) as invalid:
        client.create({"name": "x", "collectors": [{"type": "csf"}], "storage": []})
    assert invalid.value.code == "VALIDATION_ERROR"
    assert invalid.value.field == "collectors[0].type"
    assert invalid.value.hint == "csv"
    assert len(invalid.value.problems) == 2
    assert "storage" in str(invalid.value)
    assert invalid.value.request_id
    with pytest.raises(ConflictError) as conflict:
        client.create(CITIES)
    assert conflict.value.code == "PIPELINE_EXISTS"
    with pytest.raises(NotFoundError):
        client.data("nothing")
    with pytest.raises(InvalidError) as sql:
        client.query("SELECT * FROM citees")
    assert (sql.value.code, sql.value.hint) == ("SQL_NOT_ALLOWED", "cities")


def test_a_run_that_fails_is_raised(client: Penstock) -> None:
    client.create({"name": "broken", "collectors": [{"type": "csv", "file_path": "absent.csv"}]})
    with pytest.raises(RunFailed) as failed:
        client.execute("broken", progress=False)
    assert (failed.value.code, failed.value.run.status) == ("STEP_FAILED", "failed")
    assert "absent.csv" in str(failed.value)
    assert client.execute("broken", progress=False, check=False).status == "failed"


def test_a_login_is_renewed_and_ended(served: Served) -> None:
    with Penstock(served.address, username="admin", password=PASSWORD) as client:
        client.pipelines()
        client._session._token = "x.y.z"
        client.pipelines()
        client._session._token = client._session.refresh_token = "x.y.z"
        client.pipelines()
        token = client._session._token
    with Penstock(served.address, token=token) as after, pytest.raises(NotLoggedInError):
        after.pipelines()
    with Penstock(served.address, username="admin", password="wrong") as wrong, pytest.raises(NotLoggedInError) as no:
        wrong.pipelines()
    assert no.value.code == "INVALID_CREDENTIALS"


def test_accounts(served: Served, client: Penstock) -> None:
    assert client.add_user("ann", PASSWORD, "viewer").role == "viewer"
    with Penstock(served.address, username="ann", password=PASSWORD) as ann:
        with pytest.raises(NotLoggedInError) as wrong:
            ann.change_password("not the password", "quite another password")
        assert wrong.value.field == "old"
        ann.change_password(PASSWORD, "quite another password")
        assert ann.pipelines()  # logged in again
    assert client.change_user("ann", role="operator", disabled=True).disabled
    assert [user.username for user in client.users()] == ["admin", "ann"]
    client.delete_user("ann")
    assert [user.username for user in client.users()] == ["admin"]


def test_asyncio(served: Served, client: Penstock) -> None:
    async def work() -> tuple[int, int, int]:
        async with AsyncPenstock(served.address, username="admin", password=PASSWORD) as found:
            run = await found.execute("cities", progress=False)
            frames = await asyncio.gather(*(found.query("SELECT $n AS n", {"n": n}) for n in range(3)))
            return (await found.data("cities")).height, run.rows_stored, sum(frame.item() for frame in frames)

    assert asyncio.run(work()) == (4, 4, 3)


def test_a_notebook_shows_pages(served: Served, client: Penstock) -> None:
    run, version = client.runs("cities")[0], client.version("cities", 1)
    profile = client.profile("cities", version=1)
    assert f"Run {run.run_id}" in (run._repr_html_() or "")
    assert "cities version 1" in (version._repr_html_() or "")
    assert "no analyzer" in (profile._repr_html_() or "")
    assert profile == {"pipeline": "cities", "version": 1, "profiles": []}
    assert Run(run_id="x", pipeline="cities", revision=1, status="queued")._repr_html_() is None
    assert run == client.run(run.run_id)  # where it came from is not a part of it

    async def work() -> str | None:
        async with AsyncPenstock(served.address, username="admin", password=PASSWORD) as other:
            return (await other.version("cities", 1))._repr_html_()

    assert "cities version 1" in (asyncio.run(work()) or "")
    with Penstock(served.address, username="admin", password=PASSWORD) as closed:
        gone = closed.version("cities", 1)
    assert gone._repr_html_() is None


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}

    assert methods(Penstock) == methods(AsyncPenstock)


def answering(*answers: httpx.Response | Exception) -> tuple[Penstock, list[httpx.Request]]:
    """A client of a service that gives these answers, one after another."""
    left, asked = list(answers), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        following = left.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    return Penstock("http://service.test", token="t", transport=httpx.MockTransport(answer), retries=2), asked


def refusal(status: int, seconds: str) -> httpx.Response:
    body = {"error": {"code": "OVERLOADED", "message": "busy", "details": {}}}
    return httpx.Response(status, json=body, headers={"retry-after": seconds})


def test_a_busy_service_is_asked_again_with_the_same_key() -> None:
    run = httpx.Response(202, json={"run_id": "run_1", "pipeline": "p", "revision": 1, "status": "queued"})
    client, asked = answering(refusal(503, "0"), httpx.ConnectError("refused"), run)
    assert client.execute("p", wait=False).run_id == "run_1"
    assert len({request.headers["idempotency-key"] for request in asked}) == 1
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([refusal(503, "0")] * 3, OverloadedError),
        ([refusal(429, "0")] * 3, RateLimitedError),
        ([refusal(429, "3600")], RateLimitedError),
        ([httpx.ConnectError("refused")] * 3, NoService),
        ([httpx.Response(502, text="<html>")], Exception),
    ],
)
def test_the_last_error_is_raised(answers: list[Any], error: type[Exception]) -> None:
    client, asked = answering(*answers)
    with pytest.raises(error):
        client.run("run_1")
    assert len(asked) == len(answers)


def test_events_continue_after_a_broken_connection() -> None:
    parser = EventParser()
    assert list(parser.feed(b'id: 1\nevent: status\ndata: {"status": "run')) == []
    assert list(parser.feed(b'ning"}\n\n: still here\n\nid: 2\nevent: prog')) == [("status", {"status": "running"})]
    assert parser.reconnect() == {"last-event-id": "2"}
    assert list(parser.feed(b"id: 3\nevent: end\ndata: {}\n\n")) == [("end", {})]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_for_terminals(terminal: bool) -> None:
    screen = io.StringIO()
    with Bar("cities", Console(file=screen, force_terminal=terminal, width=100)) as bar:
        bar({"status": "running", "phase": "storing", "progress": 40.0})
    assert ("cities" in screen.getvalue()) == terminal
    assert ("40%" in screen.getvalue()) == terminal
