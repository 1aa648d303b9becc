"""The newest published version of each pipeline, answered from memory while no commit concerns it."""

from __future__ import annotations

from service.catalog import version_rows
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store
from service.model.version import Version

_FIND, _NAMED = (load_sql("versions")[name] for name in ("find", "named_pipeline"))
_MOST = 256  # versions that are kept as values


class NewestVersions:
    """Reads the newest versions. Methods block unless ``has`` or ``has_table`` says that they do not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoded: dict[str, tuple[Row, Version]] = {}

    def of(self, pipeline_id: str) -> Version | None:
        """The newest published version of a pipeline, or None."""
        row = self._store.kept_row("versions", pipeline_id, _FIND, {"pipeline_id": pipeline_id, "version": None})
        if row is None:
            return None
        kept = self._decoded.get(pipeline_id)
        if kept is not None and kept[0] is row:
            return kept[1]
        if len(self._decoded) >= _MOST:
            self._decoded.clear()
        found = version_rows.read(row["value"])
        self._decoded[pipeline_id] = row, found
        return found

    def of_table(self, name: str) -> Version | None:
        """The newest published version of the pipeline with that table name (in any case) or name, or None."""
        row = self._store.kept_row("pipelines", name, _NAMED, {"table_name": name})
        return self.of(row["id"]) if row is not None else None

    def has(self, pipeline_id: str) -> bool:
        """Whether ``of`` answers from memory."""
        return self._store.keeps("versions", pipeline_id, _FIND)

    def has_table(self, name: str) -> bool:
        """Whether ``of_table`` answers from memory, and finds a pipeline."""
        row = (
            self._store.kept_row("pipelines", name, _NAMED, {})
            if self._store.keeps("pipelines", name, _NAMED)
            else None
        )
        return row is not None and self.has(row["id"])
