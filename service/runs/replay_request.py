"""The request for a replay: which quarantined rows to retry, onto which version; built before the run is queued."""

from __future__ import annotations

from typing import Any

from service.catalog.pipelines import PipelineRecord, Pipelines
from service.jobs import messages
from service.kit import errors
from service.model.version import Version
from service.runs.job_resources import JobResources


def build(
    pipelines: Pipelines, resources: JobResources, record: PipelineRecord, number: int | str | None
) -> messages.Replay:
    """The replay of the quarantine of version ``number`` (the newest by default). Blocks.

    Raises ``errors.Missing`` (NO_DATA, also if the quarantine is empty; VERSION_NOT_FOUND), and ``errors.Invalid`` if
    the quarantine was replayed before: the rows that it left are in the quarantine of the later version. Raises
    ``errors.Conflict`` for a held version.
    """
    history, name = resources.history, record.name
    newest = history.version(record.id, name)
    version = newest if number is None else history.version(record.id, name, number)
    if version.held:
        raise errors.Conflict(
            f"version {version.version} of '{name}' is held; accept it first, since its rows are not those of the "
            "newest version", field="version",
        )  # fmt: skip
    later = history.replay_of(record.id, version.version)
    if later is not None:
        raise errors.Invalid(
            f"the rows in quarantine of version {version.version} were replayed into version {later}; replay that",
            field="version",
        )
    if not version.quarantine:
        raise errors.Missing(
            f"version {version.version} of '{name}' has no rows in quarantine; there is nothing to replay",
            code="NO_DATA",
        )
    other = version.version != newest.version
    return messages.Replay(
        version=version.version,
        files=resources.quarantine(version),
        before=_processors(pipelines, version),
        base=messages.StoredParts(
            pipeline=name, version=newest.version, parts=resources.parts(newest), rows=newest.rows
        ),
        fitted=newest.fitted,
        carried=resources.quarantine(newest) if other else (),
        base_before=_processors(pipelines, newest),
        fit_record=resources.fit_record(newest) if newest.fit_record is not None else None,
    )  # fmt: skip


def _processors(pipelines: Pipelines, version: Version) -> list[Any]:
    found = pipelines.get(version.pipeline, version.revision).document.get("processors", [])
    return list(found)
