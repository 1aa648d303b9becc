"""What queries read while they wait for a worker, so that a version is not deleted between its check and its reader."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from service.files.layout import Layout
from service.kit import errors
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
        self._present[id(reading)] = reading
        try:
            yield reading
        except errors.Invalid:
            raise
        except errors.PenstockError as error:
            for source in reading:
                if not self._layout.version(source.pipeline, source.version).is_dir():
                    raise errors.Missing(
                        f"the pipeline '{source.pipeline}' has no version {source.version} any more",
                        code="VERSION_NOT_FOUND", field="version",
                    ) from error  # fmt: skip
            raise
        finally:
            del self._present[id(reading)]
