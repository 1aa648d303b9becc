"""The acceptance of a held version: when it may be published, and its run afterwards."""

from __future__ import annotations

import msgspec

from service.kit import errors
from service.model.run import Run, StoredForm
from service.model.version import Version


def refuse(version: Version, newest: Version | None) -> None:
    """Refuse a version that is not held, or after a newer one was published. ``newest`` is the newest published one.

    A version that continues the rows of another one (append, merge, replay) would take those back that were published
    since. Raises ``errors.Conflict`` (CONFLICT, VERSION_SUPERSEDED).
    """
    if not version.held:
        raise not_held(version)
    if newest is None or not _supersedes(newest, version):
        return
    raise errors.Conflict(
        f"version {version.version} of '{version.pipeline}' cannot be accepted: version {newest.version} was published "
        "since; reject it, and execute the pipeline again",
        code="VERSION_SUPERSEDED", field="version", newest=newest.version,
    )  # fmt: skip


def not_held(version: Version) -> errors.Conflict:
    """The error of a decision about a version that waits for none."""
    return errors.Conflict(f"version {version.version} of '{version.pipeline}' is published, not held", field="version")


def removed(version: Version) -> errors.Conflict:
    """The error of a decision about a version that another request removed meanwhile."""
    message = f"version {version.version} of '{version.pipeline}' was rejected or deleted meanwhile"
    return errors.Conflict(message, field="version")


def _supersedes(newest: Version, version: Version) -> bool:
    return newest.version > version.version or version.continues not in (None, newest.version)


def published_run(run: Run, version: Version) -> Run:
    """The run of an accepted version: its native form is loaded from now on. It stays ``held``."""
    if not version.wants_native or any(stored.type == "duckdb" for stored in run.storage):
        return run
    location = f"{run.storage_location}/{version.table}.duckdb"
    return msgspec.structs.replace(
        run, storage=[*run.storage, StoredForm(type="duckdb", location=location, bytes=0, state="loading")]
    )
