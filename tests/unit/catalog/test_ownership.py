"""Who sees a pipeline, and what its runs may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.ownership import Owned, Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.catalog.trigger_inputs import TriggerInputs
from service.catalog.users import Users
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.rights import PUBLIC, Rights
from tests import stores

pytestmark = stores.BOTH

CLOCK, PASSWORD = FixedClock(), "a long enough password"
ANN, BOB = (Rights(username=name, role="operator", account=name) for name in ("ann", "bob"))
ADMIN = Rights(username="root", role="admin", account="root")
NARROW = Rights(username="ann", role="operator", account="ann", key="k", pipelines=("sales_*",))


@pytest.fixture
def store() -> Store:
    return stores.new()


@pytest.fixture
def pipelines(store: Store) -> Pipelines:
    return Pipelines(store, CLOCK)


@pytest.fixture
def ownership(store: Store, pipelines: Pipelines) -> Ownership:
    """``sales_eu`` of nobody, ``pay`` of ann; both are shared."""
    for name, password in (("ann", PASSWORD), ("bob", PASSWORD)):
        Users(store, CLOCK).add(name, password, "operator")
    Users(store, CLOCK).add("root", PASSWORD, "admin")
    pipelines.create("sales_eu", "sales_eu", {}, "cli")
    pipelines.create("pay", "wages", {}, "ann", owner="ann")
    return Ownership(store)


def hide(ownership: Ownership, name: str = "pay") -> None:
    ownership.change(name, ADMIN, {"visibility": "private"})


def test_all_is_readable_while_nothing_is_private(ownership: Ownership) -> None:
    assert ownership.readable(BOB) is None
    assert ownership.readable(NARROW) == frozenset({"sales_eu"})
    assert not ownership.sees(BOB, "nothing")


def test_a_private_pipeline_is_seen_by_owner_and_admins(ownership: Ownership) -> None:
    hide(ownership)
    assert [ownership.sees(who, "pay") for who in (ANN, ADMIN, BOB, PUBLIC, NARROW)] == [True, True, *[False] * 3]
    assert ownership.readable(BOB) == frozenset({"sales_eu"})
    assert ownership.readable(ADMIN) is None
    assert ownership.readable(BOB) is ownership.readable(PUBLIC)
    viewer = msgspec.structs.replace(ADMIN, role="viewer", key="k")
    assert ownership.readable(viewer) == frozenset({"sales_eu"}), "a key of an admin with a lesser role"


def test_tables_by_all_their_spellings(ownership: Ownership) -> None:
    hide(ownership)
    seen = ownership.readable(BOB)
    for table in ("wages", "WAGES", "pay", "wages@3", "pay@stable", "wages__quarantine@2", "nothing"):
        assert not ownership.has_tables(seen, ["sales_eu", table]), table
    assert ownership.has_tables(seen, ["Sales_EU@1", "sales_eu__quarantine", "penstock.runs"])


def test_a_deleted_private_pipeline_stays_hidden(ownership: Ownership, pipelines: Pipelines, store: Store) -> None:
    hide(ownership)
    store.execute(
        "INSERT INTO runs (run_id, pipeline_id, pipeline, revision, status, queued_at, value) "
        "SELECT 'r', id, name, 1, 'completed', created, '{}' FROM pipelines WHERE name = 'pay'"
    )
    pipelines.delete("pay")
    pipelines.create("pay", "wages", {}, "bob", owner="bob")
    assert ownership.sees(BOB, "pay")
    assert not ownership.sees_run(BOB, "r")
    assert ownership.sees_run(ANN, "r")
    assert ownership.readable(BOB) is not None


def test_pipelines_of_a_deleted_user_pass_to_the_admins(ownership: Ownership, store: Store) -> None:
    hide(ownership)
    users = Users(store, CLOCK)
    users.delete("ann")
    users.add("ann", PASSWORD, "operator")  # another person
    assert ownership.change("pay", ADMIN, {}) == Owned(name="pay", owner=None, visibility="private")
    assert not ownership.sees(ANN, "pay")
    assert ownership.reads(Pipelines(store, CLOCK).get("pay")) is None, "its runs go on with the rights of admins"


def test_an_owner_is_an_account(ownership: Ownership) -> None:
    with pytest.raises(errors.Invalid, match="no user 'eve'"):
        ownership.change("pay", ADMIN, {"owner": "eve"})
    with pytest.raises(errors.Missing):
        ownership.change("nothing", ADMIN, {"owner": None})


def test_runs_read_what_owner_and_author_see(ownership: Ownership, pipelines: Pipelines) -> None:
    """Else somebody who changes a shared pipeline of another could read what only that one may."""
    hide(ownership)
    pipelines.create("total", "total", {}, "ann", owner="ann")
    assert ownership.reads(pipelines.get("total")) == frozenset({"sales_eu", "total", "pay"})
    pipelines.update("total", "total", {}, "bob")
    assert ownership.reads(pipelines.get("total")) == frozenset({"sales_eu", "total"})
    pipelines.update("total", "total", {}, "cli")
    assert ownership.reads(pipelines.get("total")) == frozenset({"sales_eu", "total", "pay"})
    for author in ("somebody-deleted", "oidc:somebody"):
        pipelines.update("total", "total", {}, author)
        assert ownership.reads(pipelines.get("total")) == frozenset({"sales_eu", "total"})
        pipelines.update("sales_eu", "sales_eu", {}, author)
        assert ownership.reads(pipelines.get("sales_eu")) == frozenset({"sales_eu", "total"})
    pipelines.update("sales_eu", "sales_eu", {}, "root")
    assert ownership.reads(pipelines.get("sales_eu")) is None
    pipelines.create("issued", "issued", {}, "oidc:ann", owner="oidc:ann")
    hide(ownership, "issued")
    assert ownership.reads(pipelines.get("issued")) == frozenset({"sales_eu", "total", "issued"})


def test_callers_without_an_account_own_and_read_as_operators(ownership: Ownership, pipelines: Pipelines) -> None:
    """Callers of an issuer are in no table of users: their runs read what they own, and no more than others see."""
    hide(ownership)
    foreign = Rights(username="oidc:ann", role="operator", account="oidc:ann")
    pipelines.create("mine", "mine", {}, "oidc:ann", owner="oidc:ann")
    hide(ownership, "mine")
    assert [ownership.sees(who, "mine") for who in (foreign, ADMIN, ANN)] == [True, True, False]
    assert ownership.reads(pipelines.get("mine")) == frozenset({"sales_eu", "mine"})
    pipelines.update("sales_eu", "sales_eu", {}, "oidc:ann")  # of the admins, who see all
    assert ownership.reads(pipelines.get("sales_eu")) == frozenset({"sales_eu", "mine"})
    pipelines.update("pay", "wages", {}, "oidc:bob")
    assert ownership.reads(pipelines.get("pay")) == frozenset({"sales_eu"})
    assert ownership.change("pay", ADMIN, {"owner": "oidc:bob"}).owner == "oidc:bob"


def test_errors_tell_of_what_the_caller_sees(ownership: Ownership, pipelines: Pipelines, store: Store) -> None:
    hide(ownership)
    seen = ownership.readable(BOB)
    after: dict[str, Any] = {"trigger": {"after": ["pax"]}}
    cases = [
        ("pay", "pay", {}, "the name 'pay' is taken; choose another one"),
        ("mine", "wages", {}, "the table name 'wages' is taken"),
        ("mine", "wages__quarantine", {}, "the table name 'wages__quarantine' is taken"),
        ("mine", "mine", after, "there is no pipeline 'pax'"),
        ("mine", "mine", {"trigger": {"after": ["pay"]}}, "there is no pipeline 'pay'"),
    ]
    for name, table, document, text in cases:
        with pytest.raises(errors.PenstockError) as refused:
            pipelines.create(name, table, document, "bob", owner="bob", readable=seen)
        told = " ".join([refused.value.message, str(refused.value.details)])
        assert text in told
        assert "'pay'" not in told.replace(text, "")
    pipelines.update("pay", "wages", {"trigger": {"after": ["sales_eu"]}}, "ann")
    with pytest.raises(errors.Conflict) as kept:
        pipelines.delete("sales_eu", readable=seen)
    assert "pay" not in f"{kept.value.message} {kept.value.details}"
    with pytest.raises(errors.Invalid, match="'sales_eu' runs after 'sales_eu'") as cycle:
        pipelines.update("sales_eu", "sales_eu", {"trigger": {"after": ["sales_eu"]}}, "bob", readable=seen)
    assert "pay" not in str(cycle.value)


def test_a_trigger_awaits_what_its_runs_may_not_read(ownership: Ownership, pipelines: Pipelines, store: Store) -> None:
    pipelines.create("later", "later", {"trigger": {"after": ["pay"]}}, "bob", owner="bob")
    store.execute(
        "INSERT INTO versions SELECT id, 1, 'r', 1, 1, created, '{}', false FROM pipelines WHERE name = 'pay'"
    )
    inputs = TriggerInputs(store, lambda name: ownership.reads(pipelines.get(name)))
    record = pipelines.get("later")

    def states() -> list[list[str]]:
        state = inputs.state("later", record.id, record.document)
        assert state is not None
        return [state.committed, *(found.state.committed for found in inputs.all())]

    assert states() == [["pay"], ["pay"]]
    hide(ownership)
    assert states() == [[], []]


def test_pipelines_of_an_older_catalog_belong_to_the_admins(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    store = DuckDBStore(path)
    Pipelines(store, CLOCK).create("orders", "orders", {}, "ann")
    store.close()
    with duckdb.connect(str(path)) as old:
        old.execute("ALTER TABLE pipelines DROP COLUMN owner; ALTER TABLE pipelines DROP COLUMN visibility")
        old.execute("DROP TABLE api_keys; DROP TABLE api_key_uses; DROP TABLE audit_heads; DROP TABLE processes")
        old.execute("DROP TABLE run_events; DROP TABLE audit_lines")
        old.execute("ALTER TABLE runs DROP COLUMN label")
        old.execute("UPDATE properties SET value = '3' WHERE name = 'schema_version'")
    store = DuckDBStore(path)
    assert Ownership(store).change("orders", ADMIN, {}) == Owned(name="orders", owner=None, visibility="shared")
    store.close()
