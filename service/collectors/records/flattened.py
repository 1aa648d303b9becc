"""What flattening made of nested objects: the objects that it replaced, and the keys that lead to each column.

Two keys may give one name: ``b`` inside of ``a``, and ``a_b``. Their values must not share a column, whether they are
in one record, in two, on two pages or in two files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.collectors.records.unusable import Unusable


@dataclass
class Flattened:
    """``parents``: the names of objects that became columns. ``paths``: the keys of columns."""

    parents: set[str] = field(default_factory=set)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def include(self, columns: Iterable[str], other: Flattened) -> None:
        """Add ``columns`` of records that were flattened as ``other`` tells. Raises ``Unusable`` for a name of two."""
        found = {name: other.paths.get(name, (name,)) for name in columns}
        for name, path in found.items():
            self.check(name, path)
        self.parents |= other.parents
        self.paths |= found

    def check(self, name: str, path: tuple[str, ...]) -> None:
        """Raise ``Unusable`` if other keys than ``path`` have given column ``name``."""
        known = self.paths.get(name, path)
        if known != path:
            raise Unusable(name_clash(name, f" ({' and '.join(sorted('.'.join(p) for p in (known, path)))})"))


def name_clash(name: str, keys: str = "") -> str:
    """What is wrong if two keys give a column the same ``name``."""
    return f"flattening nested objects gives two columns the name '{name}'{keys}; set flatten to false"
