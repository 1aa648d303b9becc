"""Pipelines as they must be: their rows, versions, runs and triggers, computed in a few lines of Python."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["replace", "append", "merge"]
Rows = list[tuple[int, int]]
"""Key and value of each row, in stored order."""


@dataclass
class Version:
    """A committed version. ``restored_from`` is the number of the version whose rows it has again.

    ``continues`` is the newest version when the run began whose version is ``held``.
    """

    rows: Rows
    restored_from: int | None = None
    held: bool = False
    continues: int | None = None
    pinned: bool = False
    tags: set[str] = field(default_factory=set)


@dataclass
class Run:
    """A run: its end, its version, the rows that it stored. ``by`` is what began it: a person is ``admin``.

    ``read`` is the version that it has read of another pipeline.
    """

    status: str
    version: int | None = None
    rows: int = 0
    restored: bool = False
    by: str = "admin"
    read: int | None = None


@dataclass
class Pipeline:
    """A pipeline and the rows that its source answers. ``keep`` is how many versions retention keeps.

    With ``guarded`` a version that has more rows than the one before is held. It runs after those in ``after``; of each
    it has ``seen`` a version. With ``reads`` its source is the newest version of the first of them.
    """

    name: str
    mode: Mode
    source: Rows
    keep: int
    attempts: int
    hourly: bool
    guarded: bool
    after: list[str]
    reads: bool
    seen: dict[str, int] = field(default_factory=dict)
    revision: int = 1
    paused: bool = False
    next_number: int = 1
    versions: dict[int, Version] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        """Its configuration without the collector."""
        mode = {"mode": self.mode} | ({"key": "id"} if self.mode == "merge" else {})
        return {
            "name": self.name, "storage": [{"type": "parquet", **mode}], "retention": {"versions": self.keep},
            "execution": {"max_attempts": self.attempts, "retry_delay_seconds": 0.01},
            **({"publish_if": {"max_row_growth_share": 0}} if self.guarded else {}),
            **({"schedule": {"cron": "0 * * * *"}} if self.hourly else {}),
            **({"trigger": {"after": self.after}} if self.after else {}),
        }  # fmt: skip

    @property
    def published(self) -> list[int]:
        """The numbers of the versions that are not held, oldest first."""
        return sorted(number for number, version in self.versions.items() if not version.held)

    @property
    def newest(self) -> int | None:
        return max(self.published, default=None)

    def executed(self, by: str = "admin", read: int | None = None) -> Run:
        """A run that ended: it commits what follows from the newest version and the source, if that differs."""
        newest = self.newest
        before = self.versions[newest].rows if newest is not None else None
        rows = self._next_rows(before or [])
        held = self.guarded and before is not None and len(rows) > len(before)
        if held:
            self.commit(Version(rows, held=True, continues=newest))
        elif rows != before:
            self.commit(Version(rows))
        run = Run("held", self.next_number - 1) if held else Run("completed", self.newest)
        run.rows, run.by, run.read = len(rows), by, read
        self.runs.append(run)
        return run

    def commit(self, version: Version) -> None:
        self.versions[self.next_number] = version
        self.next_number += 1

    def is_acceptable(self, number: int) -> bool:
        """Whether a held version may be published: nothing was published since, or none that it does not replace."""
        version, newest = self.versions[number], self.newest
        assert newest is not None
        return newest < number if self.mode == "replace" else newest == version.continues

    def restored(self, number: int) -> None:
        """The rows of a version are those of a new one."""
        self.commit(Version(self.versions[number].rows, number))
        self.runs.append(Run("completed", self.newest, restored=True))

    def is_deletable(self, number: int) -> bool:
        version = self.versions[number]
        return number != self.newest and not version.pinned and not version.tags

    def sweep(self) -> None:
        """Retention: of all but the newest versions, those without a mark go; held ones are counted by themselves."""
        published = self.published
        held = sorted(set(self.versions) - set(published))
        for number in (*published[: -self.keep], *held[: -self.keep]):
            if self.is_deletable(number):
                del self.versions[number]

    @property
    def stats(self) -> dict[str, int]:
        """The totals that the service must answer."""
        runs = [run for run in self.runs if not run.restored]
        completed = [run for run in runs if run.status == "completed"]
        return {
            "total_executions": len(runs), "successful_executions": len(completed),
            "held_executions": sum(run.status == "held" for run in runs),
            "failed_executions": sum(run.status in ("failed", "interrupted") for run in runs),
            "total_rows_processed": sum(run.rows for run in completed), "versions": len(self.versions),
        }  # fmt: skip

    def _next_rows(self, before: Rows) -> Rows:
        if self.mode == "replace":
            return list(self.source)
        if self.mode == "append":
            return before + self.source
        return list((dict(before) | dict(self.source)).items())


class Pipelines(dict[str, Pipeline]):
    """All pipelines by name, and who runs after whom."""

    def execute(self, pipeline: Pipeline, by: str = "admin") -> Run:
        """A run that ended: it has seen what its upstreams have."""
        self.begin(pipeline)
        return self.finish(pipeline, by)

    def begin(self, pipeline: Pipeline) -> None:
        """A run is stored: from now on, only newer versions of its upstreams count."""
        pipeline.seen |= {name: self.newest(name) for name in pipeline.after}

    def finish(self, pipeline: Pipeline, by: str = "admin") -> Run:
        if not pipeline.reads:
            return pipeline.executed(by)
        upstream = self[pipeline.after[0]]
        if upstream.newest is None:
            pipeline.runs.append(run := Run("failed", by=by))
            return run
        pipeline.source = upstream.versions[upstream.newest].rows
        return pipeline.executed(by, upstream.newest)

    def newest(self, name: str) -> int:
        return self[name].newest or 0

    def configured(self, pipeline: Pipeline) -> None:
        """Upstreams that are new to a pipeline count from now on, others from its last run."""
        pipeline.seen = {name: pipeline.seen.get(name, self.newest(name)) for name in pipeline.after}

    def committed(self, pipeline: Pipeline) -> list[str]:
        """The upstreams that have committed since the last run."""
        return [name for name in pipeline.after if self.newest(name) > pipeline.seen.get(name, 0)]

    def ready(self, active: Container[str] = ()) -> list[Pipeline]:
        """The pipelines whose trigger fires; those that are ``active`` wait for the end of their run."""
        return [
            pipeline for name, pipeline in sorted(self.items())
            if pipeline.after and self.committed(pipeline) == pipeline.after and name not in active
        ]  # fmt: skip

    def upstreams(self, name: str) -> set[str]:
        """All pipelines that a pipeline runs after, and those that they run after."""
        found: set[str] = set()
        pending = list(self[name].after) if name in self else []
        while pending:
            if (one := pending.pop()) not in found:
                found.add(one)
                pending += self[one].after
        return found
