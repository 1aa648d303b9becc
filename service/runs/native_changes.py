"""Native changes: which rows of a version's native table the next version changes, from the parts of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.steps.storage import File, UpdatedPart

_MOST_UPDATED = 0.2
"""The share of rows in changed parts above which the table is built again: an update costs more there, and its file
keeps the blocks of what was replaced."""


def changes(
    before: Sequence[File], after: Sequence[File], parts: Sequence[str]
) -> tuple[list[UpdatedPart], list[str]] | None:
    """The parts that are updated and those that are added by ``after``, of the files ``parts``, to ``before``.

    None if rows would leave their places, or too many parts changed.
    """
    rows = sum(file.rows for file in before)
    known = {(first, file.rows, file.sha256) for first, file in _placed(before)}
    updated: list[UpdatedPart] = []
    added: list[str] = []
    for (first, file), part in zip(_placed(after), parts, strict=True):
        if first >= rows:
            added.append(part)
        elif first + file.rows > rows:
            return None
        elif (first, file.rows, file.sha256) not in known:
            updated.append(UpdatedPart(part, first, file.rows))
    if sum(file.rows for file in after) < rows or sum(part.rows for part in updated) > _MOST_UPDATED * rows:
        return None
    return updated, added


def _placed(files: Sequence[File]) -> Iterator[tuple[int, File]]:
    """Each file with the number of its first row."""
    first = 0
    for file in files:
        yield first, file
        first += file.rows
