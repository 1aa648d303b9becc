"""A data directory with published versions, and the ways in which its catalog and its folders can come to disagree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.files import manifest_file
from service.files.checksums import sha256
from service.files.layout import MANIFEST, UNCOMMITTED, Layout
from service.kit.clock import FixedClock
from service.model.breach import Breach
from service.model.run import Run
from service.model.version import Column, Version
from service.query.integrity import Integrity
from service.runs.condition import Condition
from service.runs.manifest import Manifest
from service.runs.verification import Verification, Verifier
from service.steps.storage import File

CLOCK = FixedClock()
DOCUMENT = {"name": "shop", "collectors": [{"type": "csv", "file_path": "a.csv"}]}
BREACH = Breach(measure="row_drop_share", value=0.5, bound=0.2, message="rows fell")
NAME = "part-00000.parquet"


class Directory:
    """A data directory. ``contents`` is what was ever written as data."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.create()
        self.contents: set[bytes] = set()
        with Opened(self) as opened:
            opened.pipelines.create("shop", "shop", DOCUMENT, None)

    def publish(self, number: int, *, commit: bool = True, held: bool = False) -> None:
        """A version of one file; without ``commit`` the service dies between the rename and the commit."""
        with Opened(self) as opened:
            record, now = opened.pipelines.get("shop"), CLOCK.now()
            run = Run(run_id=f"run_{number}", pipeline="shop", revision=1, status="running", queued_at=now)
            opened.history.add_run(record.id, run)
            self._copy(self.catalog, "running", number)
            folder = self.layout.version("shop", number)
            folder.mkdir(parents=True)
            content = f"rows {number}".encode()
            (folder / NAME).write_bytes(content)
            files = [File(NAME, len(content), 1, sha256(folder / NAME))]
            columns = [Column("a", "Int64")]
            manifest = Manifest(
                format=2, pipeline="shop", version=number, run_id=run.run_id, revision=1, created=now, rows=1,
                files=files, columns=columns, configuration=DOCUMENT, held=held, held_because=[BREACH] if held else [],
            )  # fmt: skip
            (folder / MANIFEST).write_bytes(manifest_file.encode(msgspec.to_builtins(manifest)))
            (folder / UNCOMMITTED).touch()
            if commit:
                self.contents.add(content)
                status = "held" if held else "completed"
                done = msgspec.structs.replace(
                    run, status=status, version=number, end_time=now, held_because=manifest.held_because
                )
                opened.history.publish(record.id, done, manifest.as_version())
                (folder / UNCOMMITTED).unlink()
        if commit:
            self._copy(self.catalog, "after", number)

    @property
    def catalog(self) -> Path:
        return self.layout.catalog

    def _copy(self, path: Path, when: str, number: int) -> None:
        for suffix in ("", ".wal"):
            source = Path(f"{path}{suffix}")
            if source.exists():
                shutil.copyfile(source, self.layout.root / f"copy-{when}-{number}{suffix}")

    def put_back(self, when: str, number: int) -> None:
        """Replace the catalog by an older copy of it."""
        copy = self.layout.root / f"copy-{when}-{number}"
        if not copy.exists():
            return
        Path(f"{self.catalog}.wal").unlink(missing_ok=True)
        shutil.copyfile(copy, self.catalog)
        if (wal := Path(f"{copy}.wal")).exists():
            shutil.copyfile(wal, f"{self.catalog}.wal")

    def data(self) -> set[bytes]:
        """The contents of all data files in the warehouse."""
        return {path.read_bytes() for path in self.layout.warehouse.rglob(NAME)}

    def start(self, *, accept: bool = False) -> str:
        """What a start does about the data; the condition afterwards."""
        with Opened(self) as opened:
            opened.condition.recover(CLOCK.now(), accept_empty=accept)
            return opened.condition.report()

    def verify(self, *, adopt: bool = False) -> Verification:
        """``penstock verify --deep``, after the start that comes before it."""
        with Opened(self) as opened:
            opened.condition.recover(CLOCK.now(), accept_empty=False)
            verifier = Verifier(opened.store, opened.history, opened.pipelines, self.layout, opened.condition)
            return verifier.verify(deep=True, adopt=adopt)

    def versions(self) -> list[Version]:
        """The committed versions."""
        with Opened(self) as opened:
            return [c.version for c in opened.history.committed()]


class Opened:
    """The catalog of a directory while it is open."""

    def __init__(self, directory: Directory) -> None:
        self.store = DuckDBStore(directory.catalog)
        self.history, self.pipelines = History(self.store), Pipelines(self.store, CLOCK)
        self.condition = Condition(self.store, self.history, directory.layout, Integrity(directory.layout))

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


def _edit_manifest(directory: Directory) -> None:
    path = directory.layout.version("shop", 2) / MANIFEST
    if path.exists():
        path.write_bytes(manifest_file.encode({**manifest_file.decode(path.read_bytes()), "run_id": "run_X"}))


def _remove_manifest(directory: Directory) -> None:
    (directory.layout.version("shop", 2) / MANIFEST).unlink(missing_ok=True)


def _rename_folder(directory: Directory) -> None:
    folder = directory.layout.version("shop", 2)
    if folder.exists():
        folder.rename(directory.layout.version("shop", 8))


def _add_folder(directory: Directory) -> None:
    folder = directory.layout.pipeline("shop") / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(b"put there by a person")
    directory.contents.add(b"put there by a person")


def _lose_folder(directory: Directory) -> None:
    folder = directory.layout.version("shop", 1)
    if folder.exists():
        directory.contents.discard((folder / NAME).read_bytes())
        shutil.rmtree(folder)


def _delete_catalog(directory: Directory) -> None:
    for suffix in ("", ".wal"):
        Path(f"{directory.catalog}{suffix}").unlink(missing_ok=True)


def _delete_log(directory: Directory) -> None:
    Path(f"{directory.catalog}.wal").unlink(missing_ok=True)


DISASTERS: dict[str, Callable[[Directory], None]] = {
    "manifest edited": _edit_manifest,
    "manifest removed": _remove_manifest,
    "folder renamed": _rename_folder,
    "folder added": _add_folder,
    "folder lost": _lose_folder,
    "catalog deleted": _delete_catalog,
    "log of the catalog deleted": _delete_log,
    "catalog of version 1": lambda d: d.put_back("after", 1),
    "catalog of the run of version 2": lambda d: d.put_back("running", 2),
}
