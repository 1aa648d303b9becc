"""A warehouse of one pipeline for tests of storage modes: the real run worker, one run after another, in this process.

Publishing is what ``runs.publication`` does to the folder, without a catalog.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from service.jobs import messages
from service.jobs.messages import Base, Failed, Grants, Order, Prepared
from service.jobs.run_worker import work
from service.processes.channel import Channel
from service.runs import publication
from service.values.version_mode import BaseVersion


class _Heard(Channel):
    def __init__(self) -> None:
        self.messages: list[messages.WorkerMessage] = []

    def send(self, message: bytes) -> None:
        self.messages.append(messages.decode(message))


class Versions:
    """The versions of a pipeline that reads ``batch.parquet`` and keeps it with ``settings``."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = settings
        self.processors: list[Any] = []
        self.number = 0
        self.revisions: list[Any] = []
        self.base: Base | None = None
        self.prepared: Prepared | None = None
        self.failed: Failed | None = None

    def run(self, rows: pl.DataFrame) -> Prepared | None:
        """Run over these rows; None if the run failed (see ``failed``). An unchanged run adds no version."""
        source = self.folder / "batch.parquet"
        rows.write_parquet(source)
        staging = self.folder / f"staging-{self.number}-{datetime.now(UTC).timestamp()}"
        staging.mkdir()
        document = {
            "name": "p", "collectors": [{"type": "parquet", "file_path": "batch.parquet"}],
            "processors": self.processors, "storage": [{"type": "parquet", **self.settings}],
        }  # fmt: skip
        if self.revisions[-1:] != [document]:
            self.revisions.append(document)
        order = Order(
            run_id=f"run_{self.number}", pipeline_id="p", document=document, revision=len(self.revisions),
            version=self.number + 1,
            created=datetime.now(UTC), base=self.base,
            grants=Grants(folder=str(staging), memory_bytes=1 << 30, file_roots=(str(self.folder),)),
        )  # fmt: skip
        heard = _Heard()
        work(heard, messages.encode(order))
        last = heard.messages[-1]
        self.failed = last if isinstance(last, Failed) else None
        if not isinstance(last, Prepared):
            return None
        self.prepared = last
        if last.unchanged is not None:
            return last
        publication.carry(order, last)
        self.number += 1
        staging.rename(self.version)
        version = BaseVersion(version=self.number, folder=str(self.version), files=last.files, layout=last.layout)
        self.base = Base(
            version=version, revision=order.revision, columns=last.columns, table="p", native=False
        )  # fmt: skip
        return last

    @property
    def version(self) -> Path:
        """The folder of the newest version."""
        return self.folder / f"v{self.number:06d}"

    @property
    def parts(self) -> list[Path]:
        """The parts of the newest version, in order."""
        assert self.prepared is not None
        return [self.version / file.name for file in self.prepared.files]

    def rows(self) -> pl.DataFrame:
        """The rows of the newest version."""
        return pl.concat([pl.read_parquet(part, glob=False, hive_partitioning=False) for part in self.parts])

    def inodes(self) -> dict[str, int]:
        """The inode of each part by its name."""
        return {str(part.relative_to(self.version)): part.stat().st_ino for part in self.parts}
