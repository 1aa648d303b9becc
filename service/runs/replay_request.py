"""The request for a replay: which quarantined rows to retry, onto which version; built before the run is queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.catalog.pipelines import PipelineRecord, Pipelines
from service.jobs import messages
from service.kit import errors
from service.model.run import ReplayedRow
from service.model.version import Version
from service.runs.job_resources import JobResources
from service.values.version_mode import VersionMode


def build(
    pipelines: Pipelines,
    resources: JobResources,
    record: PipelineRecord,
    number: int | str | None,
    rows: Sequence[ReplayedRow] = (),
) -> messages.Replay:
    """The replay of ``rows`` (or all) of the quarantine of version ``number`` (the newest by default). Blocks.

    Raises ``errors.Missing`` (NO_DATA, also if the quarantine is empty; VERSION_NOT_FOUND), and ``errors.Invalid`` if
    the quarantine was replayed before (the rows that it left are in the quarantine of the later version), or belongs
    to a run whose rows were all replaced. Raises ``errors.Conflict`` for a held version.
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
        number, deleted = later
        what = "it was deleted since; execute the pipeline again" if deleted else "replay that"
        raise errors.Invalid(
            f"the rows in quarantine of version {version.version} were replayed into version {number}, or are in its "
            f"quarantine; {what}",
            field="version",
        )
    if not version.quarantine:
        raise errors.Missing(
            f"version {version.version} of '{name}' has no rows in quarantine; there is nothing to replay",
            code="NO_DATA",
        )
    other = version.version != newest.version
    if other and _replaces_all(resources.decode(record).mode):
        raise errors.Invalid(
            f"version {newest.version} has all rows of a later run in place of those of version {version.version}, "
            "whose quarantine is older; replay the newest version, or execute the pipeline again", field="version",
        )  # fmt: skip
    origin = _origin(resources, version)
    return messages.Replay(
        version=version.version,
        files=resources.quarantine(version),
        before=_processors(pipelines, version),
        base=_parts(resources, newest),
        fitted=newest.fitted,
        carried=resources.quarantine(newest) if other else (),
        base_before=_processors(pipelines, newest),
        fit_record=resources.fit_record(newest) if newest.fit_record is not None else None,
        origin=_parts(resources, origin) if origin is not None else None,
        rows=tuple(rows),
    )  # fmt: skip


def _replaces_all(mode: VersionMode) -> bool:
    """Whether each run has all rows, so that what it does not have is gone."""
    return mode.mode == "replace" or (mode.full and mode.on_delete == "remove")


def _origin(resources: JobResources, version: Version) -> Version | None:
    """The version before the run that quarantined the oldest rows; replays and restorations take them over."""
    run: Version | None = version
    while run is not None and (earlier := run.replay_of or run.restored_from) is not None:
        run = resources.history.version_of(version.pipeline, earlier)
    if run is None or run.continues is None:
        return None
    return resources.history.version_of(version.pipeline, run.continues)


def _parts(resources: JobResources, version: Version) -> messages.StoredParts:
    return messages.StoredParts(
        pipeline=version.pipeline, version=version.version, parts=resources.parts(version), rows=version.rows
    )


def _processors(pipelines: Pipelines, version: Version) -> list[Any]:
    found = pipelines.get(version.pipeline, version.revision).document.get("processors", [])
    return list(found)
