"""A catalog is copied whole from any place to any other, and only between places that nobody else has open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.catalog import catalog_copy, transfer
from service.kit import errors
from tests.catalog_places import contents, fill, opened

ROOT = Path(__file__).resolve().parents[3]
BOTH_WAYS = pytest.mark.parametrize(
    "places",
    [
        "duckdb to duckdb",
        pytest.param("duckdb to postgresql", marks=pytest.mark.services),
        pytest.param("postgresql to duckdb", marks=pytest.mark.services),
        pytest.param("postgresql to postgresql", marks=pytest.mark.services),
    ],
    indirect=True,
)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The two places."""
    with ExitStack() as stack:

        def place(kind: str, name: str) -> str:
            if kind == "duckdb":
                return str(tmp_path / name)
            return str(stack.enter_context(request.getfixturevalue("cluster").database()))

        first, second = request.param.split(" to ")
        yield place(first, "from"), place(second, "to")


@BOTH_WAYS
def test_every_value_of_every_table_is_copied(places: tuple[str, str]) -> None:
    source, target = places
    store = opened(source)
    fill(store, 3)
    store.close()
    before = contents(source)
    copied = catalog_copy.copy(source, target)
    assert contents(target) == before == contents(source)
    assert {one.table: one.rows for one in copied} == {name: len(rows) for name, rows in before.items()}
    assert min(one.rows for one in copied) == 3
    with pytest.raises(errors.Conflict, match="empty"):
        catalog_copy.copy(source, target)
    assert contents(target) == before


@BOTH_WAYS
def test_a_copy_that_fails_leaves_the_target_empty(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    store = opened(source)
    fill(store, 2)
    store.close()

    def fails(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    counted = transfer._Tally.counted
    calls: list[object] = []

    def broken(tally: Any, batches: Any) -> Any:
        calls.append(tally)
        return fails() if len(calls) == 20 else counted(tally, batches)

    monkeypatch.setattr(transfer._Tally, "counted", broken)
    with pytest.raises(KeyboardInterrupt):
        catalog_copy.copy(source, target)
    monkeypatch.undo()
    assert contents(target) == {t.name: [] for t in transfer.tables()}
    catalog_copy.copy(source, target)
    assert contents(target) == contents(source)


@contextmanager
def in_use(place: str) -> Iterator[None]:
    """Another process has the place open."""
    code = (
        "import sys\nfrom tests.catalog_places import opened\n"
        "store = opened(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()\nstore.close()"
    )
    command = [sys.executable, "-c", code, place]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        assert process.stdin is not None
        process.stdin.close()


@BOTH_WAYS
def test_places_that_are_in_use_or_have_no_catalog_are_refused(places: tuple[str, str]) -> None:
    source, target = places
    with pytest.raises(errors.Missing, match="no catalog"):
        catalog_copy.copy(source, target)
    opened(source).close()
    for place in places:
        with in_use(place), pytest.raises(errors.Conflict, match="in use") as raised:
            catalog_copy.copy(source, target)
        assert raised.value.error_code == "DATA_DIR_IN_USE"
    catalog_copy.copy(source, target)


@BOTH_WAYS
def test_an_older_catalog_is_refused(places: tuple[str, str]) -> None:
    source, target = places
    store = opened(source)
    store.set_property("schema_version", "3")
    store.close()
    with pytest.raises(errors.Conflict, match="schema version 3"):
        catalog_copy.copy(source, target)


@BOTH_WAYS
def test_a_copy_that_is_not_what_was_read_is_noticed(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    store = opened(source)
    store.set_property("a", "b")
    store.close()
    commit = transfer.digests

    def changed(rows: Any) -> Any:
        return commit(rows) | {"runs": transfer.Digest(1, "0")}

    monkeypatch.setattr(transfer, "digests", changed)
    with pytest.raises(errors.PenstockError, match=r"not what was read \(runs\)"):
        catalog_copy.copy(source, target)


@pytest.mark.parametrize("places", ["duckdb to duckdb"], indirect=True)
def test_a_file_that_is_copied_stays_byte_for_byte_also_after_a_kill(places: tuple[str, str]) -> None:
    """Its write-ahead log is read, and not written into it."""
    source, target = places
    code = "import os, sys\nfrom tests.catalog_places import fill, opened\nfill(opened(sys.argv[1]), 1)\nos._exit(0)"
    subprocess.run([sys.executable, "-c", code, source], cwd=ROOT, check=True)
    files = [path for path in Path(source).iterdir() if path.is_file()]
    assert sorted(path.suffix for path in files) == [".duckdb", ".wal"]
    before = [path.read_bytes() for path in files]
    assert min(one.rows for one in catalog_copy.copy(source, target)) == 1
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("url", ["postgresq://me:hunter2@db/penstock", "POSTGRESQL://me:hunter2@db/penstock"])
def test_a_url_that_is_mistyped_is_not_a_folder_of_that_name(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(str(tmp_path / "data")).close()
    for places, field in (((str(tmp_path / "data"), url), "to"), ((url, str(tmp_path / "new")), "from")):
        with pytest.raises(errors.Invalid, match="neither a directory nor a postgresql:// URL") as raised:
            catalog_copy.copy(*places)
        assert raised.value.details["field"] == field
        assert "hunter2" not in repr(raised.value.as_body())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
