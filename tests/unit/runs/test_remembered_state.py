"""The folder of a version after a crash in a run that left its rows unchanged: the catalog's state stays, no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.files import manifest_file
from service.files.layout import MANIFEST, RUN_STATE, STATE, Layout
from service.kit.clock import FixedClock
from service.model.version import Version
from service.runs import remembered_state
from service.steps.storage import File

PLACES = {"first": f"{STATE}/api/state.json", "run_a": f"{RUN_STATE}/run_a/{STATE}/api/state.json"}
PLACES["run_b"] = PLACES["run_a"].replace("run_a", "run_b")


def file(place: str) -> File:
    return File(PLACES[place], len(place), 0, "")


def version(*state: File) -> Version:
    return Version(
        pipeline="shop", version=1, run_id="run_1", revision=1, table="shop", rows=1, bytes=1, columns=[], files=[],
        sources=[], created=FixedClock().now(), state=list(state),
    )  # fmt: skip


def folder_with(layout: Layout, places: list[str], named: str) -> Path:
    """A version's folder that holds these states, and whose manifest names one of them."""
    folder = layout.version("shop", 1)
    for place in places:
        (folder / PLACES[place]).parent.mkdir(parents=True)
        (folder / PLACES[place]).write_text(place)
    content = {"pipeline": "shop", "state": msgspec.to_builtins([file(named)])}
    (folder / MANIFEST).write_bytes(manifest_file.encode(content))
    return folder


@pytest.mark.parametrize(
    ("places", "named", "held"),
    [
        (["first", "run_a"], "first", "first"),  # before the commit
        (["first", "run_a"], "first", "run_a"),  # before the manifest was written
        (["first", "run_a"], "run_a", "run_a"),  # before the earlier state was removed
        (["run_a", "run_b"], "run_a", "run_a"),
        (["run_a", "run_b"], "run_a", "run_b"),
        (["run_b"], "run_b", "run_b"),
        (["first"], "first", "first"),
    ],
)
def test_one_state_stays_and_the_manifest_names_it(tmp_path: Path, places: list[str], named: str, held: str) -> None:
    layout = Layout(tmp_path)
    folder = folder_with(layout, places, named)
    for _ in range(2):
        remembered_state.tidy(folder, layout, version(file(held)))
        assert {p.read_text() for p in folder.rglob("state.json")} == {held}
        assert (folder / PLACES[held]).read_text() == held
        assert msgspec.json.decode((folder / MANIFEST).read_bytes())["state"] == msgspec.to_builtins([file(held)])
    assert (folder / RUN_STATE).exists() == (held != "first")


def test_a_version_without_state_keeps_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = folder_with(layout, ["first", "run_a"], "first")
    remembered_state.tidy(folder, layout, version())
    assert [p.name for p in folder.iterdir()] == [MANIFEST]
