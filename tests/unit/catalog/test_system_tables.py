"""The system tables have the documented columns, and are made again only when the catalog has changed."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest

import service
from service.catalog.pipelines import Pipelines
from service.catalog.saved_queries import SavedQueries
from service.catalog.store import Store
from service.catalog.system_tables import SystemTables
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.model.saved_query import QueryDefinition
from tests import stores

pytestmark = stores.BOTH

DOCUMENT = Path(service.__file__).parent / "docs" / "saved-queries.md"
DOCUMENTED = {
    name: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", columns))
    for name, columns in re.findall(r"^\| `(penstock\.\w+)` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
}


@pytest.fixture
def store() -> Store:
    return stores.new()


@pytest.fixture
def tables(store: Store, tmp_path: Path) -> SystemTables:
    layout = Layout(tmp_path)
    layout.create()
    return SystemTables(store, layout)


def read(tables: SystemTables, name: str) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(tables.snapshot(name)))


def test_every_table_has_the_documented_columns(tables: SystemTables) -> None:
    assert {name: read(tables, name).columns for name in tables.names} == DOCUMENTED


def test_a_snapshot_is_made_again_after_a_change(tables: SystemTables, store: Store, clock: FixedClock) -> None:
    first = tables.snapshot("penstock.pipelines")
    assert tables.snapshot("penstock.pipelines") is first
    Pipelines(store, clock).create("orders", "orders", {"collectors": []}, "ann")
    frame = read(tables, "penstock.pipelines")
    assert frame.select("name", "status", "created_by").rows() == [("orders", "idle", "ann")]
    assert frame.schema["created"] == pl.Datetime("us", "UTC")


def test_snapshots_leave_no_files(tables: SystemTables, tmp_path: Path) -> None:
    tables.snapshot("penstock.runs")
    assert list(Layout(tmp_path).spill.iterdir()) == []


def test_saved_queries_keep_their_author(store: Store, tables: SystemTables, clock: FixedClock) -> None:
    saved = SavedQueries(store, clock)
    definition = QueryDefinition(sql="SELECT 1", public=True)
    for by in ("ann", "bob"):
        saved.put("one", definition, by=by, columns=[], tables=[], repeatable=True)
    assert (saved.get("one").created_by, saved.get("one").updated_by) == ("ann", "bob")
    frame = read(tables, "penstock.queries").select("name", "sql", "public", "cache_seconds", "created_by")
    assert frame.rows() == [("one", "SELECT 1", True, 0, "ann")]
    saved.delete("one")
    assert saved.find("one") is None
