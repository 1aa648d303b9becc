"""A held version in the catalog and on disk: starts, verification and adoption keep it held, and it is never newest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.catalog.version_marks import VersionMarks
from service.files.layout import CURRENT, MANIFEST
from service.kit import errors
from tests.unit.runs.disasters import BREACH, CLOCK, DISASTERS, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """With two versions of one pipeline, the second of which is held."""
    made = Directory(tmp_path / "data")
    made.publish(1)
    made.publish(2, held=True)
    return made


def states(directory: Directory) -> list[tuple[int, bool]]:
    return [(v.version, v.held) for v in directory.versions()]


def current(directory: Directory) -> str:
    return (directory.layout.pipeline("shop") / CURRENT).readlink().name


def is_held(directory: Directory, number: int) -> bool:
    manifest = json.loads((directory.layout.version("shop", number) / MANIFEST).read_text())
    return bool(manifest["held"])


def accept(directory: Directory, number: int) -> None:
    """Accept it in the catalog alone: the service dies afterwards."""
    with Opened(directory) as opened:
        record = opened.pipelines.get("shop")
        opened.history.accept(record.id, opened.history.version(record.id, "shop", number), CLOCK.now())


def test_a_start_points_at_the_newest_published_version(directory: Directory) -> None:
    directory.start()
    assert (current(directory), states(directory)) == ("v000001", [(1, False), (2, True)])
    with Opened(directory) as opened:
        record = opened.pipelines.get("shop")
        newest = opened.history.newest(record.id)
        assert newest is not None
        assert (newest.version, opened.history.next_version(record.id)) == (1, 3)
    assert not directory.verify().findings


def test_a_start_finishes_an_acceptance(directory: Directory) -> None:
    accept(directory, 2)
    assert is_held(directory, 2)
    directory.start()
    assert (current(directory), is_held(directory, 2), states(directory)[1]) == ("v000002", False, (2, False))
    assert not directory.verify().findings


def test_a_start_takes_an_acceptance_back_that_the_catalog_does_not_have(directory: Directory) -> None:
    accept(directory, 2)
    directory.start()
    directory.put_back("after", 2)
    directory.start()
    assert (current(directory), is_held(directory, 2), states(directory)[1]) == ("v000001", True, (2, True))


@pytest.mark.parametrize("accepted", [False, True])
def test_an_adopted_version_is_held_as_before(directory: Directory, accepted: bool) -> None:
    if accepted:
        accept(directory, 2)
        directory.start()
    DISASTERS["catalog deleted"](directory)
    assert not directory.verify(adopt=True).failed
    assert states(directory) == [(1, False), (2, not accepted)]
    assert current(directory) == ("v000002" if accepted else "v000001")
    with Opened(directory) as opened:
        run = opened.history.run("run_2")
        assert (run.status, run.held_because) == ("held", [BREACH])
    accept(directory, 2) if not accepted else None
    assert states(directory)[1] == (2, False)


def test_a_held_version_alone_is_no_data(directory: Directory) -> None:
    """Its published version is damaged and cannot be adopted."""
    DISASTERS["catalog deleted"](directory)
    part = next(directory.layout.version("shop", 1).glob("part-*"))
    part.write_bytes(b"?")
    assert directory.verify(adopt=True).failed
    assert states(directory) == [(2, True)]
    with Opened(directory) as opened:
        record = opened.pipelines.get("shop")
        with pytest.raises(errors.Missing) as caught:
            opened.history.version(record.id, "shop")
        assert caught.value.error_code == "NO_DATA"
        assert opened.history.table("shop") is None
        assert opened.history.table("shop@2") is not None
    accept(directory, 2)
    directory.start()
    assert current(directory) == "v000002"


def test_a_version_that_was_accepted_meanwhile_is_not_rejected(directory: Directory) -> None:
    with Opened(directory) as opened:
        record = opened.pipelines.get("shop")
        held = opened.history.version(record.id, "shop", 2)
    accept(directory, 2)
    directory.publish(3)
    with Opened(directory) as opened, pytest.raises(errors.Conflict) as caught:
        VersionMarks(opened.store).delete(record.id, held, CLOCK.now())
    assert caught.value.error_code == "VERSION_IN_USE"
    assert states(directory) == [(1, False), (2, False), (3, False)]
