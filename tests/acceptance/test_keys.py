"""API keys against a real service: the client, the command line with and without a service, SQL and saved queries."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import Penstock
from service.client.errors import NotLoggedInError, ServiceError
from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, PATIENCE, Served, upload_and_create


def command(data: Path, *arguments: str) -> Any:
    """The answer of ``penstock keys``."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "keys", *arguments, "--data-dir", str(data), "--json"],
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), capture_output=True, text=True, check=True,
        timeout=PATIENCE,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture
def cities(empty: Served) -> Served:
    upload_and_create(empty)
    upload_and_create(empty, "staff")
    for name in ("cities", "staff"):
        empty.json("POST", f"/pipeline/{name}/execute?wait=60")
    return empty


@pytest.fixture
def connected() -> Iterator[contextlib.ExitStack]:
    """Closes clients."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_narrow_key_with_the_client(cities: Served, connected: contextlib.ExitStack) -> None:
    admin = connected.enter_context(cities.client())
    admin.save_query("towns", "SELECT count(*) AS n FROM cities")
    admin.save_query("people", "SELECT count(*) AS n FROM staff")
    made = admin.make_key("reader", pipelines=["cit*"], role="viewer")
    assert made.key is not None
    with Penstock(cities.address, token=made.key, retries=0) as narrow:
        assert [p.name for p in narrow.pipelines()] == ["cities"]
        assert len(narrow.data("cities")) == 3
        assert narrow.query("SELECT count(*) AS n FROM cities")["n"][0] == 3
        assert narrow.query("SELECT name FROM penstock.pipelines")["name"].to_list() == ["cities"]
        assert narrow.query("SELECT name FROM penstock.queries")["name"].to_list() == ["towns"]
        assert [q.name for q in narrow.queries()] == ["towns"]
        for attempt in (
            lambda: narrow.data("staff"), lambda: narrow.query("FROM staff"), lambda: narrow.answer("people"),
            lambda: narrow.query('FROM "staff@1"'), lambda: narrow.execute("cities"), lambda: narrow.make_key("more"),
        ):  # fmt: skip
            with pytest.raises(ServiceError) as refused:
                attempt()
            assert refused.value.status in (400, 403, 404)
            assert "did you mean" not in refused.value.message
        changed = admin.change_key(made.id, pipelines=["staff"])
        assert changed.pipelines == ["staff"]
        assert [p.name for p in narrow.pipelines()] == ["staff"]
        admin.delete_key(made.id)
        with pytest.raises(NotLoggedInError):
            narrow.pipelines()
    assert made.id not in {key.id for key in admin.keys()}  # noqa: SIM118 - a method of the client
    for name in ("towns", "people"):
        admin.delete_query(name)


def test_a_key_for_saved_queries(cities: Served, connected: contextlib.ExitStack) -> None:
    admin = connected.enter_context(cities.client())
    admin.save_query("towns", "SELECT count(*) AS n FROM cities")
    made = admin.make_key("dashboard", queries=["towns"])
    with Penstock(cities.address, token=made.key, retries=0) as only:
        assert only.answer("towns")["n"][0] == 3
        with pytest.raises(ServiceError) as refused:
            only.query("SELECT 1")
        assert refused.value.status == 403
    admin.delete_key(made.id)
    admin.delete_query("towns")


def test_the_command_line_makes_keys(cities: Served) -> None:
    made = command(cities.data, "add", "nightly", "--owner", "admin", "--role", "viewer", "--pipelines", "cit*")
    listed = [key for key in command(cities.data, "list") if key["id"] == made["id"]]
    assert [key["prefix"] for key in listed] == [made["key"][:12]]
    with Penstock(cities.address, token=made["key"], retries=0) as narrow:
        assert [p.name for p in narrow.pipelines()] == ["cities"]
    assert command(cities.data, "remove", made["id"]) == {"id": made["id"]}


@pytest.mark.slow
def test_the_command_line_without_a_service(tmp_path: Path) -> None:
    data = tmp_path / "data"
    subprocess.run(
        [sys.executable, "-m", "service", "user", "add", "ann", "--role", "operator", "--password-stdin",
         "--data-dir", str(data)],
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), input=PASSWORD, text=True, check=True,
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    made = command(data, "add", "nightly", "--owner", "ann")
    assert [(key["owner"], key["id"]) for key in command(data, "list")] == [("ann", made["id"])]
    command(data, "remove", made["id"])
    assert command(data, "list") == []
