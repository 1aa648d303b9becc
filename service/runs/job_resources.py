"""Resources that the jobs of this process share (settings, layout, catalog, secrets), and what each job may use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.catalog.history import History
from service.catalog.pipelines import PipelineRecord
from service.files.layout import STDERR, Layout
from service.jobs import messages
from service.jobs.messages import Grants
from service.kit import errors, placeholders
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.registry import Registry
from service.model.rights import Readable
from service.model.version import Version
from service.processes.kept import KeptChildren
from service.processes.limits import Limits
from service.processes.spares import Spares
from service.query.integrity import Integrity
from service.runs import native_changes, publication, remembered_state
from service.runs.journals import Journals
from service.steps.collector import Upstream
from service.steps.storage import Earlier, File
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Traces
from service.values.version_mode import BaseVersion, Mode

if TYPE_CHECKING:
    from service.runs.spark_sessions import SparkSessions

_LOOKED = 20
"""Versions that are looked at for a native file."""


@dataclass(frozen=True)
class JobResources:
    """The resources that the jobs of this process share.

    ``same_since`` is the time since which the program is the same (``runs.program``), by default the start. ``reads``
    answers which pipelines the runs of a revision may read.
    """

    settings: Settings
    layout: Layout
    history: History
    registry: Registry
    clock: Clock
    secrets: Mapping[str, str]
    integrity: Integrity
    spares: Spares = field(default_factory=Spares)
    kept: KeptChildren = field(default_factory=KeptChildren)
    same_since: datetime | None = None
    reads: Callable[[PipelineRecord], Readable] = lambda _: None
    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = field(default_factory=Traces)
    spark: SparkSessions | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.same_since is None:
            object.__setattr__(self, "same_since", self.clock.now())
        if self.settings.spark_url is not None:
            from service.runs.spark_sessions import SparkSessions

            object.__setattr__(self, "spark", SparkSessions(self.settings.spark_url, self.spares))

    @functools.cached_property
    def journals(self) -> Journals:
        """Where the events of runs are kept."""
        return Journals.of(self.layout, self.history, self.clock)

    async def warm(self) -> None:
        """Let workers wait for jobs from now on: spare ones, and those that did their work and left no trace of it."""
        self.kept.keep(self.settings.spare_workers)
        await self.spares.fill(self.settings.spare_workers)

    async def close(self) -> None:
        """End the workers that wait."""
        if self.spark is not None:
            await self.spark.close()
        await self.kept.close()
        await self.spares.close()

    def decode(self, record: PipelineRecord) -> Pipeline:
        """The pipeline at the revision of the record."""
        return pipelines.decode(record.document, self.registry)

    def grants(
        self,
        folder: Path,
        document: Any = None,
        stored: Mapping[str, messages.StoredParts] | None = None,
        memory_bytes: int | None = None,
    ) -> Grants:
        """What a job over ``document`` may use: the secrets that it names and no others, files, hosts, memory.

        ``memory_bytes`` is that of a run by default.
        """
        wanted = placeholders.names(str(document))
        return Grants(
            folder=str(folder),
            memory_bytes=memory_bytes or self.settings.run_memory_limit,
            pace=str(self.layout.pace),
            file_roots=(str(self.layout.uploads), *map(str, self.settings.root_folders)),
            closed=tuple(map(str, self.settings.closed_folders)),
            allowed_private_hosts=self.settings.allowed_private_hosts,
            secrets={n: v for n, v in self.secrets.items() if n in wanted},
            stored=dict(stored or {}),
            spark_url=self.settings.spark_url,
        )

    def stored(self, pipeline: Pipeline, readable: Readable) -> dict[str, messages.StoredParts]:
        """The versions that steps read, by the settings that name them. Blocks.

        They are resolved before the job starts: several steps that name a pipeline without a version read the same
        version. Those of pipelines that are not ``readable`` do not exist. Raises ``errors.Permanent`` if a version
        does not exist or lacks a column that a setting names.
        """
        wanted = [(f"collectors[{i}]", c.upstream()) for i, c in enumerate(pipeline.collectors)]
        wanted += [(f"processors[{i}]", u) for i, p in enumerate(pipeline.processors) for u in p.upstreams()]
        seen: dict[tuple[str, int | str | None], Version | None] = {}
        found = {}
        for step, upstream in wanted:
            if upstream is None:
                continue
            key = (upstream.pipeline, upstream.version)
            if key not in seen:
                there = readable is None or upstream.pipeline in readable
                seen[key] = self.history.version_of(*key) if there else None
            version = seen[key]
            found[f"{step}.{upstream.field}"] = self._readable(upstream, version, step)
        return found

    def _readable(self, upstream: Upstream, version: Version | None, step: str) -> messages.StoredParts:
        if version is None:
            named = "with the tag " if isinstance(upstream.version, str) else ""
            which = f"version {named}{upstream.version!r}" if upstream.version is not None else "stored version"
            raise errors.Permanent(
                f"there is no {which} of a pipeline '{upstream.pipeline}'; execute that pipeline first",
                step=step, field=f"{step}.{upstream.field}",
            )  # fmt: skip
        names = [c.name for c in version.columns]
        if upstream.column is not None and upstream.column not in names:
            hint = errors.did_you_mean(upstream.column, names)
            raise errors.Permanent(
                f"{version.pipeline}@{version.version} has no column '{upstream.column}'{hint}",
                step=step, field=f"{step}.{upstream.column_field}",
            )  # fmt: skip
        return messages.StoredParts(
            pipeline=version.pipeline, version=version.version, parts=self.parts(version), rows=version.rows
        )

    def parts(self, version: Version) -> tuple[str, ...]:
        """Paths of the Parquet files of a version. Blocks; raises ``errors.PenstockError`` (DATA_CORRUPT)."""
        return self._paths(version, version.files)

    def quarantine(self, version: Version) -> tuple[str, ...]:
        """Paths of the files with the rows that a version quarantined."""
        return self._paths(version, version.quarantine)

    def fit_record(self, version: Version) -> str:
        """Path of the fit record of a version. Blocks; raises ``errors.PenstockError`` (DATA_CORRUPT), and
        ``errors.Missing`` (NO_DATA) for a version of an older release, which has none.
        """
        if version.fit_record is None:
            message = (
                f"version {version.version} was made by a release that could not apply versions; "
                "execute the pipeline again"
            )
            raise errors.Missing(message, code="NO_DATA", field="version")
        return self._paths(version, [version.fit_record])[0]

    def remembered(self, record: PipelineRecord) -> messages.Remembered | None:
        """The incremental state that collectors stored with the newest version of a pipeline, if any. Blocks."""
        newest = self.history.newest(record.id)
        if newest is None or not newest.state:
            return None
        self.integrity.require(newest, newest.state)
        folder = self.layout.version(newest.pipeline, newest.version)
        place, files = remembered_state.remembered_in(folder, newest.state)
        return messages.Remembered(folder=str(place), files=files)

    def base(self, record: PipelineRecord, mode: Mode) -> messages.Base | None:
        """The newest version of a pipeline, which the next run continues or equals, if there is one. Blocks.

        A damaged version is replaced by the next run, and never continued: that raises ``errors.PenstockError``
        (DATA_CORRUPT).
        """
        newest = self.history.newest(record.id)
        if newest is None:
            return None
        try:
            self.integrity.require(newest, newest.base_files)
        except errors.PenstockError:
            if mode == "replace":
                return None
            raise
        folder = self.layout.version(newest.pipeline, newest.version)
        version = BaseVersion(
            version=newest.version, folder=str(folder), files=newest.files, layout=newest.layout
        )  # fmt: skip
        return messages.Base(
            version=version,
            revision=newest.revision,
            alike=mode == "replace" and self._is_alike(newest, record.revision),
            columns=newest.columns,
            quarantine=newest.quarantine,
            table=newest.table,
            native=newest.native is not None or newest.wants_native,
        )

    def _is_alike(self, version: Version, revision: int) -> bool:
        """Whether a run of this program wrote the version by this revision, all of it.

        The bytes of an arranged version follow from the order in which its rows came, too.
        """
        assert self.same_since is not None
        own = version.revision == revision and version.restored_from is None and version.created >= self.same_since
        return own and not (version.layout.partition_by or version.layout.cluster_by)

    def native_before(self, record: PipelineRecord, version: Version) -> Earlier | None:
        """The newest native file of an earlier version, if it costs less to change that than to build it again. Blocks.

        The earlier version lets its file go if it would not keep it anyway.
        """
        known = self.history.with_native(record.id, skip=0, limit=_LOOKED)
        published = next((v for v in known if v.version < version.version), None)
        if published is None or not published.rows:
            return None
        if (published.revision, published.table) != (version.revision, version.table):
            return None
        changes = native_changes.changes(published.files, version.files, self.parts(version))
        if changes is None:  # as with all versions that are written anew, whose earlier files nobody needs to read
            return None
        try:
            before = self.integrity.checked(published)
        except errors.PenstockError:
            return None
        if before.native is None:
            return None
        folder, keep = self.layout.version(version.pipeline, version.version), self.decode(record).native_versions
        try:
            path = publication.take_native(self.history, self.layout, record.id, keep, before, folder)
        except OSError:  # it was deleted meanwhile
            return None
        updated, added = changes
        return Earlier(str(path), updated, added, taken=path.parent == folder)

    def _paths(self, version: Version, files: list[File]) -> tuple[str, ...]:
        self.integrity.require(version, files)
        folder = self.layout.version(version.pipeline, version.version)
        return tuple(str(folder / file.name) for file in files)


def limits(
    grants: Grants,
    *,
    network: bool = True,
    read: tuple[str, ...] = (),
    write: tuple[str, ...] = (),
    stderr: str | None = STDERR,
) -> Limits:
    """The limits of a child that has ``grants``; it may also ``read`` and ``write`` the given paths.

    ``stderr`` is the name of the file in its folder that takes its standard error.
    """
    parts = tuple(part for stored in grants.stored.values() for part in stored.parts)
    shared = (grants.pace,) if network and grants.pace is not None else ()
    return Limits(
        memory_bytes=grants.memory_bytes, open_files=1024, network=network,
        read=(*grants.file_roots, *parts, *read), write=(grants.folder, *shared, *write),
        stderr=stderr if stderr is None else f"{grants.folder}/{stderr}",
    )  # fmt: skip
