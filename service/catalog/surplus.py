"""The versions, and the logs of runs, that retention no longer keeps."""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store, naive
from service.model.retention import DEFAULT_DAYS, DEFAULT_VERSIONS
from service.model.version import Version

_SQL = load_sql("surplus")


class Surplus:
    """Finds what the newest revision of a pipeline no longer keeps. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def versions(self) -> list[tuple[str, Version]]:
        """Surplus versions with the id of their pipeline, oldest first; never the newest, pinned or tagged ones.

        Held versions are counted by themselves, so that they take no place of a published one.

        Pipelines of releases without retention keep all versions until their configuration says otherwise.
        """
        rows = self._store.rows(_SQL["surplus"], {"default_versions": str(DEFAULT_VERSIONS)})
        return [(row["pipeline_id"], msgspec.json.decode(row["value"], type=Version)) for row in rows]

    def logs(self, now: datetime) -> set[str]:
        """The ids of runs that ended too long ago for their log to be kept; runs of present versions keep it."""
        rows = self._store.rows(_SQL["logs"], {"now": naive(now), "default_days": DEFAULT_DAYS})
        return {row["run_id"] for row in rows}
