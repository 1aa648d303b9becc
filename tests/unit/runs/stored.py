"""An installation whose versions are in an object store (a folder), made by the product's own publication."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.files import manifest_file
from service.files.layout import MANIFEST, Layout
from service.files.object_store import ObjectStore
from service.kit.clock import FixedClock
from service.model.run import Run
from service.model.version import Column, Version
from service.query.integrity import Integrity
from service.runs import publication
from service.runs.condition import Condition
from service.runs.store_upkeep import StoreUpkeep
from service.runs.verification import Verification, Verifier
from service.steps.storage import File

CLOCK = FixedClock()
DOCUMENT: dict[str, Any] = {"name": "shop", "collectors": [{"type": "csv", "file_path": "a.csv"}]}


class Installation:
    """A data directory with a pipeline ``shop``, and its store: a folder, unless ``url`` names one; or none.

    Its catalog is a file, unless it is given one.
    """

    def __init__(
        self, root: Path, *, stored: bool = True, url: str | None = None, seconds: float = 2,
        catalog: Store | None = None,
    ) -> None:  # fmt: skip
        self.objects = ObjectStore(url or f"file://{root}/store", seconds=seconds) if stored else None
        self.layout = Layout(root / "data", objects=self.objects)
        self.layout.create()
        self.store: Store = catalog or DuckDBStore(self.layout.catalog)
        self.history, self.pipelines = History(self.store), Pipelines(self.store, CLOCK)
        self.integrity = Integrity(self.layout, self.history.present, 1 << 30)
        self.condition = Condition(self.store, self.history, self.layout, self.integrity)
        self.upkeep = StoreUpkeep(self.store, self.history, self.layout, CLOCK)
        self.verifier = Verifier(self.store, self.history, self.pipelines, self.layout, self.condition, CLOCK)

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        if self.objects is not None:
            self.objects.close()

    @property
    def pipeline_id(self) -> str:
        return self.pipelines.get("shop").id

    def create(self) -> None:
        self.pipelines.create("shop", "shop", DOCUMENT, None)

    def run(self, run_id: str) -> Run:
        """A run in progress."""
        run = Run(run_id=run_id, pipeline="shop", revision=1, status="running", queued_at=CLOCK.now(), attempt=1)
        self.history.add_run(self.pipeline_id, run)
        return run

    def prepared(self, run: Run, parts: Mapping[str, bytes]) -> tuple[Path, Version]:
        """What a worker leaves in staging."""
        staging = self.layout.staging(run.run_id)
        files = []
        for name, content in parts.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            files.append(File(name, len(content), 1, hashlib.sha256(content).hexdigest()))
        number = self.history.next_version(self.pipeline_id)
        version = Version(
            pipeline="shop", version=number, run_id=run.run_id, revision=1, table="shop", rows=len(files),
            bytes=sum(f.bytes for f in files), columns=[Column("a", "Int64")], files=files, sources=[],
            created=CLOCK.now(),
        )  # fmt: skip
        publication.make_room(self.history, self.layout, "shop", number)
        (staging / MANIFEST).write_bytes(manifest_file.encode({"configuration": DOCUMENT}))
        return staging, version

    def publish(self, run_id: str, parts: Mapping[str, bytes]) -> Version:
        """A committed version."""
        run = self.run(run_id)
        staging, version = self.prepared(run, parts)
        newest = self.history.newest(self.pipeline_id)
        completed = msgspec.structs.replace(run, status="completed", version=version.version, end_time=CLOCK.now())
        known = [newest] if newest is not None else []
        return publication.commit(
            self.history, self.layout, self.pipeline_id, staging, completed, version, known=known
        )  # fmt: skip

    def forget(self) -> None:
        """Remove all that is cached."""
        for folder in self.layout.pipeline("shop").glob("v*"):
            shutil.rmtree(folder)

    def objects_there(self) -> list[str]:
        """The keys in the store."""
        assert self.objects is not None
        return sorted(one.key for one in self.objects.list())

    def parts(self) -> list[str]:
        """The keys of data."""
        return [key for key in self.objects_there() if "part-" in key]

    def read(self, version: Version) -> list[bytes]:
        """The rows of a version, as a reader gets them."""
        checked = self.integrity.checked(version)
        folder = self.layout.version(version.pipeline, version.version)
        return [(folder / file.name).read_bytes() for file in checked.files]

    def verify(self, *, adopt: bool = False) -> Verification:
        return self.verifier.verify(deep=True, adopt=adopt)
