"""Premises: what every job in a child shares (settings, places, catalog, secrets), and what it is allowed of it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.catalog.history import History
from service.catalog.pipelines import Record
from service.kit import errors
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.processes.child import Exit
from service.processes.limits import Limits
from service.runs import messages
from service.runs.messages import Allowance
from service.steps import secrets as placeholders
from service.steps.layout import Layout
from service.steps.registry import Registry


@dataclass(frozen=True)
class Premises:
    """What the jobs of this process share."""

    settings: Settings
    places: Layout
    history: History
    registry: Registry
    clock: Clock
    secrets: Mapping[str, str]

    def decode(self, record: Record) -> Pipeline:
        """The pipeline at the record's revision."""
        return pipelines.decode(record.document, self.registry)

    def allowance(
        self, folder: Path, document: Any = None, stored: Mapping[int, messages.Stored] | None = None
    ) -> Allowance:
        """What a job over ``document`` may use: only the secrets that it names, files, hosts, memory."""
        wanted = placeholders.names(str(document))
        return Allowance(
            folder=str(folder),
            memory_bytes=self.settings.run_memory_limit,
            pace=str(self.places.pace),
            file_roots=(str(self.places.uploads), *self.settings.file_roots),
            allowed_private_hosts=self.settings.allowed_private_hosts,
            secrets={n: v for n, v in self.secrets.items() if n in wanted},
            stored=dict(stored or {}),
        )

    def stored(self, pipeline: Pipeline) -> dict[int, messages.Stored]:
        """The versions that collectors read, found before the job starts: all see what there is now. Blocks.

        Raises ``errors.Permanent`` where one is not there.
        """
        found = {}
        for index, collector in enumerate(pipeline.collectors):
            wanted = collector.upstream()
            if wanted is None:
                continue
            version = self.history.version_of(wanted.pipeline, wanted.version)
            if version is None:
                which = f"version {wanted.version}" if wanted.version is not None else "stored version"
                raise errors.Permanent(
                    f"there is no {which} of a pipeline '{wanted.pipeline}'; execute that pipeline first",
                    step=f"collectors[{index}]", field=f"collectors[{index}].name",
                )  # fmt: skip
            folder = self.places.version(version.pipeline, version.version)
            parts = tuple(str(folder / f.name) for f in version.files)
            found[index] = messages.Stored(
                pipeline=version.pipeline, version=version.version, parts=parts, rows=version.rows
            )
        return found


def limits(allowance: Allowance, *, network: bool = True, write: tuple[str, ...] = ()) -> Limits:
    """The bounds of a child that has ``allowance``; ``write`` are folders it may change beside its own."""
    parts = tuple(part for stored in allowance.stored.values() for part in stored.parts)
    shared = (allowance.pace,) if network and allowance.pace is not None else ()
    return Limits(
        memory_bytes=allowance.memory_bytes, open_files=1024, network=network,
        read=(*allowance.file_roots, *parts), write=(allowance.folder, *shared, *write),
    )  # fmt: skip


def died(end: Exit, what: str, memory_bytes: int) -> errors.PenstockError:
    """The error of a job whose child ended without an answer; ``what`` names the job."""
    if end.signal in (signal.SIGABRT, signal.SIGKILL):
        return errors.Permanent(
            f"the {what}'s process was ended ({end}), most likely for want of memory: it may use "
            f"{memory_bytes >> 20} MiB (PENSTOCK_RUN_MEMORY_LIMIT)",
            code=f"{what.upper()}_OUT_OF_MEMORY",
        )
    return errors.Permanent(
        f"the {what}'s process ended without an answer ({end}); nothing was stored", code=f"{what.upper()}_CRASHED"
    )
