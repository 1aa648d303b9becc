"""Two processes of one installation: what one deletes stays readable to the other for a while; a backup is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.version_marks import VersionMarks
from service.kit import errors
from service.model.version import Version
from service.runs.backup import Backups
from service.runs.exclusive import VERIFICATION, exclusive
from service.runs.restore import restore
from service.runs.version_upkeep import VersionUpkeep
from tests.postgresql import Cluster
from tests.unit.runs.stored import CLOCK, Installation

pytestmark = pytest.mark.services
ONE, TWO = {"part-00000.parquet": b"one"}, {"part-00000.parquet": b"two"}


@pytest.fixture
def two(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    """Two data directories of one installation, which has two versions."""
    with ExitStack() as stack:
        url = stack.enter_context(cluster.database())
        found = [
            stack.enter_context(
                Installation(
                    tmp_path / name, url=f"file://{tmp_path}/store", catalog=PostgreSQLStore(Server(url), shared=True)
                )
            )
            for name in ("here", "there")
        ]
        found[0].create()
        found[0].publish("run_1", ONE)
        found[0].publish("run_2", TWO)
        yield found[0], found[1]


def delete(shop: Installation, version: Version) -> None:
    upkeep = VersionUpkeep(
        shop.history, shop.pipelines, VersionMarks(shop.store), shop.layout, CLOCK, shop.integrity
    )  # fmt: skip
    asyncio.run(upkeep.remove(shop.pipeline_id, version, "retention"))
    shop.upkeep.sweep()


def an_hour_later(shop: Installation) -> None:
    shop.store.execute("UPDATE retired_objects SET noted = noted - INTERVAL '61 minutes'")
    shop.upkeep.sweep()


def test_a_reader_elsewhere_reads_the_version_that_it_found(two: tuple[Installation, Installation]) -> None:
    here, there = two
    found = there.history.version(there.pipeline_id, "shop", 1)
    delete(here, found)
    assert there.read(found) == [b"one"]
    assert len(here.parts()) == 2
    an_hour_later(here)
    assert len(here.parts()) == 1
    there.forget()
    with pytest.raises(errors.Missing, match="has no version 1"):
        there.read(found)
    assert there.read(there.history.version(there.pipeline_id, "shop")) == [b"two"]


def test_a_backup_is_whole_whatever_another_process_deletes_and_writes(
    two: tuple[Installation, Installation], tmp_path: Path
) -> None:
    here, there = two
    backups = Backups(there.store, there.history, there.layout, CLOCK)
    copy = there.store.copy_to

    def copy_to(path: Path, alongside: Callable[[], None]) -> None:
        copy(path, alongside)
        delete(here, here.history.version(here.pipeline_id, "shop", 1))
        an_hour_later(here)  # the backup holds its lease still
        here.publish("run_3", ONE)
        with pytest.raises(errors.Conflict, match="another process makes a backup"):
            Backups(here.store, here.history, here.layout, CLOCK).make(str(tmp_path / "second"))

    there.store.copy_to = copy_to  # type: ignore[method-assign]
    assert backups.make(str(tmp_path / "backup")).versions == 2
    report = restore(tmp_path / "backup", tmp_path / "again", None, CLOCK)
    assert report.versions == 2
    for _ in range(2):  # noted now, since nothing was looked at before
        an_hour_later(here)
    assert not [key for key in here.parts() if "run_1" in key]
    assert Backups(here.store, here.history, here.layout, CLOCK).make(str(tmp_path / "second")).versions == 2


def test_one_process_verifies_at_a_time(two: tuple[Installation, Installation]) -> None:
    here, there = two
    with (
        exclusive(here.store, CLOCK, VERIFICATION),
        pytest.raises(errors.Conflict, match="another process makes a verification"),
    ):
        there.verify()
    assert not there.verify().failed
