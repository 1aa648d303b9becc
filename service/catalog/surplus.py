"""The versions that retention no longer keeps."""

from __future__ import annotations

from collections.abc import Collection

from service.catalog import version_rows
from service.catalog.statements import load_sql
from service.catalog.store import Store
from service.model.retention import DEFAULT_VERSIONS
from service.model.version import Version

_SQL = load_sql("surplus")


class Surplus:
    """Finds what the newest revision of a pipeline no longer keeps. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def versions(self, skip: int = 0, pipeline_ids: Collection[str] | None = None) -> list[tuple[str, Version]]:
        """Up to 100 surplus versions with the id of their pipeline, after the first ``skip``, oldest first.

        Those of some pipelines, or of all. The newest, pinned or tagged ones are never among them.

        Held versions are counted by themselves, so that they take no place of a published one.

        Pipelines of releases without retention keep all versions until their configuration says otherwise.
        """
        wanted = None if pipeline_ids is None else sorted(pipeline_ids)
        values = {"default_versions": str(DEFAULT_VERSIONS), "skip": skip, "pipeline_ids": wanted}
        rows = self._store.rows(_SQL["surplus"], values)
        return [(row["pipeline_id"], version_rows.read(row["value"])) for row in rows]
