"""The condition of the stored data: whether the catalog was lost, and which versions are damaged."""

from __future__ import annotations

from datetime import datetime

import structlog

from service.catalog.history import History
from service.catalog.ownership import Ownership
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit import errors
from service.model.rights import PUBLIC
from service.query.integrity import Integrity
from service.runs import recovery
from service.runs.store_upkeep import ATTEMPT

_LOST = "lost"  # a property of a catalog that began empty beside a warehouse with versions

_log = structlog.get_logger("penstock.recovery")


class Condition:
    """Recovers at a start, and reports the condition of the data afterwards. Methods block."""

    def __init__(self, store: Store, history: History, layout: Layout, integrity: Integrity) -> None:
        self._store = store
        self._history = history
        self._layout = layout
        self._integrity = integrity

    @property
    def integrity(self) -> Integrity:
        """Which versions are damaged."""
        return self._integrity

    @property
    def catalog_is_lost(self) -> bool:
        """Whether the catalog began empty beside a warehouse with versions, and nobody has decided about them yet."""
        return self._store.property(_LOST) is not None

    def recover(self, now: datetime, *, accept_empty: bool) -> None:
        """Startup recovery. In a warehouse whose catalog is lost every folder stays, unless ``accept_empty``.

        Newest versions that lack files are known as damaged from then on.
        """
        if accept_empty:
            self.accept()
        elif self._history.is_empty() and (self._layout.version_folders() or self._has_objects()):
            self._store.set_property(_LOST, "1")
        lost = self.catalog_is_lost
        if lost:
            _log.error(
                "catalog.missing",
                folders=len(self._layout.version_folders()),
                hint="the catalog is empty and the warehouse is not: put the catalog back, take the versions back with "
                "'penstock verify --adopt', or set PENSTOCK_ACCEPT_EMPTY_CATALOG=1",
            )
        if self._store.remote:
            from service.catalog import journal_files

            journal_files.take_over(self._store, self._layout)
        recovery.recover(self._history, self._layout, now, keep_unknown=lost)
        for table in self._history.tables():
            if not table.quarantine:
                self._integrity.compare_sizes(table.version)

    def _has_objects(self) -> bool:
        """Whether the object store has versions. One that does not work now cannot answer: nothing is deleted there."""
        try:
            return self._layout.objects is not None and any(ATTEMPT.match(o.key) for o in self._layout.objects.list())
        except errors.Unavailable as error:
            _log.warning("store.unavailable", reason=error.message, hint="versions in it may be unknown to the catalog")
            return False

    def accept(self) -> None:
        """Accept the catalog as it is; recovery then treats unknown folders as in any other warehouse."""
        if self.catalog_is_lost:
            self._store.set_property(_LOST, None)

    def report(self) -> str:
        """``ok``, or what is wrong with the stored data. Everybody may read it: it names no private pipeline."""
        if self.catalog_is_lost:
            return "the catalog is missing: run 'penstock verify --adopt' or set PENSTOCK_ACCEPT_EMPTY_CATALOG=1"
        damaged = self._integrity.damaged()
        seen = Ownership(self._store).readable(PUBLIC) if damaged else None
        shown = [one for one in damaged if seen is None or one.partition("@")[0] in seen]
        if len(shown) < len(damaged):
            shown.append("versions of private pipelines ('penstock verify' names them)")
        return f"damaged: {', '.join(shown)}" if damaged else "ok"
