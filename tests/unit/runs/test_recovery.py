"""However catalog and folders disagree, a start deletes nothing that may be data, and ``verify`` can take it back."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.files import manifest_file
from service.files.layout import CURRENT, MANIFEST, UNCOMMITTED, children
from service.runs import manifest
from service.runs.verification import Verifier
from tests.unit.runs.disasters import CLOCK, DISASTERS, DOCUMENT, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """With two versions of one pipeline."""
    made = Directory(tmp_path / "data")
    made.publish(1)
    made.publish(2)
    return made


def folders(directory: Directory) -> list[str]:
    return [folder.name for folder in children(directory.layout.pipeline("shop"))]


def orphans(directory: Directory) -> list[str]:
    return [folder.name for folder in directory.layout.orphans()]


@pytest.mark.parametrize("disaster", DISASTERS)
def test_nothing_that_may_be_data_is_deleted(directory: Directory, disaster: str) -> None:
    DISASTERS[disaster](directory)
    directory.start()
    directory.start()
    assert directory.data() == directory.contents


def test_a_link_that_was_not_put_in_place_is_removed(directory: Directory) -> None:
    above = directory.layout.pipeline("shop")
    (above / ".current-link_1").symlink_to("v000002")
    directory.start()
    assert sorted(p.name for p in above.iterdir()) == ["current", "v000001", "v000002"]


@pytest.mark.parametrize(
    ("disaster", "stay", "orphaned"),
    [
        ("manifest edited", ["v000001", "v000002"], []),
        ("manifest removed", ["v000001", "v000002"], []),
        ("folder renamed", ["v000001"], ["v000008"]),
        ("folder added", ["v000001", "v000002"], ["mine"]),
        ("folder lost", ["v000002"], []),
        ("catalog of version 1", ["v000001"], ["v000002"]),
        ("catalog of the run of version 2", ["v000001"], ["v000002"]),
        ("catalog deleted", ["v000001", "v000002"], []),
    ],
)
def test_the_catalog_decides(directory: Directory, disaster: str, stay: list[str], orphaned: list[str]) -> None:
    DISASTERS[disaster](directory)
    directory.start()
    assert (folders(directory), orphans(directory)) == (stay, orphaned)


@pytest.mark.parametrize(
    "disaster", ["folder renamed", "catalog of version 1", "catalog of the run of version 2", "catalog deleted"]
)
def test_verify_lists_what_is_unknown_and_takes_it_back(directory: Directory, disaster: str) -> None:
    DISASTERS[disaster](directory)
    listed = directory.verify()
    assert {f.kind for f in listed.findings} >= {"unknown"}
    assert listed.failed is (disaster in ("folder renamed", "catalog deleted"))  # where something is missing, too
    lost = [f.message[:22] for f in listed.findings if f.folder == "catalog.duckdb"]
    assert lost == (["the catalog is missing"] if disaster == "catalog deleted" else [])
    adopted = directory.verify(adopt=True)
    assert not adopted.failed
    assert [f.kind for f in adopted.findings] == ["adopted"] * len(adopted.findings)
    assert [v.version for v in directory.versions()] == [1, 2]
    assert directory.start() == "ok"
    assert (folders(directory), orphans(directory)) == (["v000001", "v000002"], [])
    assert not directory.verify().findings
    with Opened(directory) as opened:
        assert opened.pipelines.get("shop").document == DOCUMENT
        assert opened.history.run("run_2").status == "completed"


def test_a_lost_catalog_is_said_until_somebody_decides(directory: Directory) -> None:
    DISASTERS["catalog deleted"](directory)
    assert "catalog is missing" in directory.start()
    with Opened(directory) as opened:
        opened.pipelines.create("other", "other", {}, None)
    assert "catalog is missing" in directory.start()
    assert directory.start(accept=True) == "ok"
    assert orphans(directory) == ["v000001", "v000002"]
    assert directory.start() == "ok"


def test_an_uncommitted_folder_of_a_known_run_is_removed(directory: Directory) -> None:
    directory.publish(3, commit=False)
    staging = directory.layout.staging("run_3")
    staging.mkdir()
    (staging / "part").touch()
    directory.start()
    assert folders(directory) == ["v000001", "v000002"]
    assert orphans(directory) == []
    assert not staging.exists()


def test_a_start_that_dies_while_it_removes_a_folder_leaves_none_that_is_unknown(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(path: Path, **_: Any) -> None:
        for file in path.iterdir():
            file.unlink()
        raise Died

    directory.publish(3, commit=False)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(Died):
            directory.start()
    directory.start()
    assert folders(directory) == ["v000001", "v000002"]
    assert orphans(directory) == []
    assert children(directory.layout.staging_root) == []


def test_a_start_that_dies_leaves_nothing_to_delete_for_the_next(directory: Directory) -> None:
    """An older catalog has the run of version 2 as running; a first start ends it and dies before it tidies."""
    DISASTERS["catalog of the run of version 2"](directory)
    with Opened(directory) as opened:
        run = opened.history.run("run_2")
        assert run.status == "running"
        opened.history.change_run(msgspec.structs.replace(run, status="interrupted"))
    directory.start()
    assert orphans(directory) == ["v000002"]
    assert directory.data() == directory.contents


def test_files_of_other_programs_stay(directory: Directory) -> None:
    """A start empties folders of its own; a data directory may have been one of somebody else."""
    layout = directory.layout
    foreign = [layout.spill / "mine" / "rows", layout.pace / "mine" / "rows", layout.uploads / "rows.csv"]
    left = [layout.spill / "query-x" / "rows", layout.uploads / ".receiving-up_1", layout.root / ".probe_1"]
    for file in (*foreign, *left):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    directory.start()
    assert [file.exists() for file in foreign] == [True] * 3
    assert [file.exists() for file in left] == [False] * 3


def test_newest_versions_that_lack_files_are_reported_at_the_start(directory: Directory) -> None:
    DISASTERS["folder renamed"](directory)
    assert directory.start() == "damaged: shop@2"
    assert not directory.verify(adopt=True).failed
    assert directory.start() == "ok"


@pytest.mark.parametrize("name", ["shop", "shop/v000002"])
def test_a_link_in_the_place_of_a_folder_is_damage(directory: Directory, tmp_path: Path, name: str) -> None:
    """Confined readers cannot follow it, so that it must not look whole."""
    folder = directory.layout.warehouse / name
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert directory.start() == "damaged: shop@2"
    found = [f.message for f in directory.verify().findings if f.version == 2]
    assert [f"{folder.name} is a symbolic link; move the folder itself to its place"] == found
    folder.unlink()
    (tmp_path / "moved").rename(folder)
    assert directory.start() == "ok"
    assert not directory.verify().failed


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"columns": [{"name": "b", "type": "Int64"}]},
        {"tape": {"name": "tape.json", "bytes": 1, "rows": 0, "sha256": "x"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["1", "2"])
def test_another_manifest_is_noticed(directory: Directory, changes: dict[str, object], form: str) -> None:
    """One that can still be read, but would give the version back as another; format 1 is that of older releases."""
    path = directory.layout.version("shop", 2) / MANIFEST
    content = manifest_file.decode(path.read_bytes()) | changes
    path.write_bytes(manifest_file.encode(content) if form == "2" else msgspec.json.encode({"format": 1, **content}))
    found = directory.verify()
    assert [(f.kind, f.version) for f in found.findings] == [("damaged", 2)]
    assert "manifest.json is not that of this version" in found.findings[0].message


def test_a_flipped_byte_in_a_manifest_is_noticed_and_never_made_right(directory: Directory) -> None:
    """Also in what the catalog does not have, or has in another form: here the configuration."""
    path = directory.layout.version("shop", 2) / MANIFEST
    whole = path.read_bytes()
    place = whole.index(b'"configuration"') + len('"configuration": {')
    path.write_bytes(damaged := whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    for _ in range(2):
        (found,) = directory.verify().findings
        assert (found.kind, found.version, found.message[:36]) == ("damaged", 2, "manifest.json has another checksum t")
    changes: list[dict[str, Any]] = [{"state": []}, {"held": True}]
    for change in changes:
        with pytest.raises(manifest_file.DamagedManifest):
            manifest.amend(path.parent, directory.layout, **change)
    assert path.read_bytes() == damaged
    DISASTERS["catalog deleted"](directory)
    adopted = directory.verify(adopt=True)
    assert [(f.kind, f.version) for f in adopted.findings] == [("adopted", 1), ("unknown", None)]
    (orphan,) = directory.layout.orphans()
    (orphan / MANIFEST).write_bytes(whole)  # as a backup has it
    assert [(f.kind, f.version) for f in directory.verify(adopt=True).findings] == [("adopted", 2)]


def test_a_manifest_of_an_older_release_stays_as_it_is_until_it_changes(directory: Directory) -> None:
    path = directory.layout.version("shop", 2) / MANIFEST
    older = msgspec.json.format(msgspec.json.encode({"format": 1, **manifest_file.decode(path.read_bytes())}), indent=2)
    path.write_bytes(older)
    assert directory.verify().findings == []
    assert path.read_bytes() == older
    manifest.amend(path.parent, directory.layout, state=[])
    assert path.read_bytes()[:14] == b'{\n  "sha256": '
    assert directory.verify().findings == []


@pytest.mark.parametrize("how", ["older", "dangling", "commit in progress", "without links", "right"])
def test_a_link_to_another_version_than_the_newest_is_noticed(directory: Directory, how: str) -> None:
    """Who reads the warehouse by ``current`` would get other rows; one that is committed just now has no link yet."""
    directory.start()
    folder = directory.layout.version("shop", 2)
    link = folder.with_name(CURRENT)
    if how != "right":
        link.unlink()
    if how in ("older", "dangling", "commit in progress"):
        link.symlink_to("v000009" if how == "dangling" else "v000001")
    if how == "commit in progress":
        (folder / UNCOMMITTED).touch()
    with Opened(directory) as opened:
        verifier = Verifier(opened.store, opened.history, opened.pipelines, directory.layout, opened.condition)
        found = [(f.kind, f.folder, f.version) for f in verifier.verify().findings]
    wrong = [("damaged", "warehouse/shop/current", 2)] if how in ("older", "dangling") else []
    assert [f for f in found if f[1].endswith(CURRENT)] == wrong


def test_a_version_that_is_committed_meanwhile_is_not_unknown(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder was seen before its commit, and its mark was gone after it."""
    directory.publish(3, commit=False)
    mark = directory.layout.version("shop", 3) / UNCOMMITTED
    with Opened(directory) as opened:
        verifier = Verifier(opened.store, opened.history, opened.pipelines, directory.layout, opened.condition)
        committed = opened.history.committed
        seen = Path.exists

        def commit(self: Path) -> bool:
            if self == mark and seen(mark):
                run = opened.history.run("run_3")
                found = manifest.read(mark.parent)
                assert found is not None
                done = msgspec.structs.replace(run, status="completed", version=3, end_time=CLOCK.now())
                opened.history.publish(opened.pipelines.get("shop").id, done, found.as_version())
                mark.unlink()
            return seen(self)

        monkeypatch.setattr(Path, "exists", commit)
        assert verifier.verify().findings == []
        assert [c.version.version for c in committed()] == [1, 2, 3]


@pytest.mark.parametrize("name", ["part-00001.parquet", "year=2020/part-00000.parquet"])
def test_a_file_that_readers_would_take_for_a_part_is_noticed(directory: Directory, name: str) -> None:
    stray = directory.layout.version("shop", 2) / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"rows of somebody")
    found = directory.verify()
    assert found.failed
    assert [(f.kind, f.version, f.message.split(" is not ")[0]) for f in found.findings] == [("damaged", 2, name)]


@pytest.mark.parametrize("disaster", ["manifest edited", "manifest removed"])
def test_verify_compares_manifests(directory: Directory, disaster: str) -> None:
    DISASTERS[disaster](directory)
    (found,) = directory.verify().findings
    assert (found.kind, found.version, found.message[:13]) == ("damaged", 2, "manifest.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pipeline", "../../elsewhere"),
        ("version", -1),
        ("files", [["../../secret", 1, 1, "00"]]),
        ("files", [["/x", 1, 1, ""]]),
    ],
)
def test_a_foreign_manifest_leads_nowhere_else(directory: Directory, field: str, value: object) -> None:
    """``--adopt`` never moves or reads what lies outside the warehouse."""
    DISASTERS["catalog of version 1"](directory)
    directory.start()
    (orphan,) = directory.layout.orphans()
    path = orphan / MANIFEST
    content = manifest_file.decode(path.read_bytes())
    fields = dict(zip(("name", "bytes", "rows", "sha256"), value[0], strict=True)) if isinstance(value, list) else None
    path.write_bytes(manifest_file.encode({**content, field: [fields] if fields else value}))
    before = sorted(directory.layout.root.parent.iterdir())
    found = directory.verify(adopt=True)
    assert [f.kind for f in found.findings] == ["unknown"]
    assert orphan.is_dir()
    assert sorted(directory.layout.root.parent.iterdir()) == before


def test_staging_of_an_unknown_run_is_kept(directory: Directory) -> None:
    staging = directory.layout.staging("run_elsewhere")
    staging.mkdir()
    (staging / "part").touch()
    directory.start()
    assert orphans(directory) == ["run_elsewhere"]


def test_what_an_interrupted_load_left_is_swept(directory: Directory) -> None:
    folder = directory.layout.version("shop", 2)
    (folder / ".tmp-native.duckdb").touch()
    (folder / "shop.duckdb").touch()  # the catalog was not told of it, or has let it go
    (folder / UNCOMMITTED).touch()
    directory.start()
    assert not (folder / ".tmp-native.duckdb").exists()
    assert not (folder / "shop.duckdb").exists()
    assert not (folder / UNCOMMITTED).exists()
    assert (directory.layout.pipeline("shop") / "current").resolve() == folder


def test_a_damaged_orphan_is_refused(directory: Directory) -> None:
    DISASTERS["catalog of version 1"](directory)
    directory.start()
    (orphan,) = directory.layout.orphans()
    (orphan / "part-00000.parquet").write_bytes(b"rowz 2")
    found = directory.verify(adopt=True)
    assert found.failed
    assert any(f.kind == "refused" and "another checksum" in f.message for f in found.findings)
    assert [v.version for v in directory.versions()] == [1]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(DISASTERS)), max_size=4), st.booleans())
def test_no_sequence_of_disasters_and_starts_deletes_data(sequence: list[str], between: bool) -> None:
    with tempfile.TemporaryDirectory() as root:
        directory = Directory(Path(root) / "data")
        directory.publish(1)
        directory.publish(2)
        for disaster in sequence:
            DISASTERS[disaster](directory)
            if between:
                directory.start()
        directory.start()
        directory.verify(adopt=True)
        directory.start()
        assert directory.data() >= directory.contents
