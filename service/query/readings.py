"""What queries read while they wait for a worker, so that a version is not deleted between its check and its reader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from service.files import deleted_version
from service.files.layout import Layout
from service.sandbox.source import TableSource


class Readings:
    """The sources of queries that have no answer yet. Belongs to the event loop."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._present: dict[int, list[TableSource]] = {}

    def reads(self, chosen: Callable[[TableSource], bool]) -> bool:
        """Whether a query reads, or will read, one of the chosen sources."""
        return any(chosen(source) for reading in self._present.values() for source in reading)

    @contextlib.contextmanager
    def of(self, sources: Iterable[TableSource]) -> Iterator[list[TableSource]]:
        """Note the sources of a query, which may add to them, until it is answered.

        Raises ``errors.Missing`` (VERSION_NOT_FOUND) in place of another error if a version was deleted before it was
        noted.
        """
        reading = list(sources)
        versions = ((s.pipeline, s.version, self._layout.version(s.pipeline, s.version)) for s in reading)
        self._present[id(reading)] = reading
        try:
            with deleted_version.named(versions):
                yield reading
        finally:
            del self._present[id(reading)]
