"""What flattening made of nested objects: the objects that it replaced, and the keys that lead to each column.

Two keys may give one name: ``b`` inside of ``a``, and ``a_b``. Their values must not share a column, whether they are
in one record, in two, on two pages or in two files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from service.collectors.records.unusable import Unusable

_METADATA: Final = "penstock.flattened"
"""The key of a Parquet footer that keeps this for later runs."""


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

    def metadata(self, columns: Iterable[str]) -> dict[str, str]:
        """What the footer of a Parquet file with ``columns`` keeps."""
        paths = {name: self.paths[name] for name in columns if name in self.paths}
        return {_METADATA: json.dumps({"parents": sorted(self.parents), "paths": paths})}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Flattened | None:
        """What the footer of a file kept; None if it was written by a release that kept nothing."""
        if _METADATA not in metadata:
            return None
        kept = json.loads(metadata[_METADATA])
        return cls(set(kept["parents"]), {name: tuple(path) for name, path in kept["paths"].items()})

    def check(self, name: str, path: tuple[str, ...]) -> None:
        """Raise ``Unusable`` if other keys than ``path`` have given column ``name``."""
        known = self.paths.get(name, path)
        if known != path:
            both = " and ".join(sorted(".".join(keys) for keys in (known, path)))
            raise Unusable(
                f"flattening nested objects gives two columns the name '{name}' ({both}); set flatten to false"
            )
