"""Which local files a collector may read: those under the uploads and the configured roots, and no other.

Polars would fetch ``http://`` and ``s3://``, expand ``~`` and globs, and follow links by itself, so no string
of a user reaches it: a name is resolved here, against the roots, without following symbolic links out of them.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from service.kit import errors

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Files:
    """The directories that may be read, in order of preference; the first is the upload directory."""

    roots: tuple[Path, ...]

    def resolve(self, name: str, step: str, field: str = "file_path") -> list[Path]:
        """The existing files that ``name`` means: a relative or absolute path, or a glob, under a root.

        A relative name is looked for in each root in turn. Globs answer in sorted order.
        Raises ``errors.Permanent`` naming ``field`` where nothing readable is found.
        """
        if "\x00" in name or "://" in name or name.startswith("~"):
            raise self._refused(name, step, field)
        for root in self.roots:
            found = self._under(root.resolve(), name)
            if found:
                return found
        raise errors.Permanent(
            f"no file '{name}' in the uploads or the configured file roots; upload it with "
            "PUT /api/v1/files/<path>, or add its directory to PENSTOCK_FILE_ROOTS",
            step=step,
            field=field,
        )

    def _under(self, root: Path, name: str) -> list[Path]:
        if _MAGIC & set(name):
            base = str(Path(name)) if Path(name).is_absolute() else str(Path(glob.escape(str(root))) / name)
            candidates = [Path(p) for p in sorted(glob.glob(base, recursive=True))]  # noqa: PTH207 - absolute
        else:
            candidates = [root / name]
        real = [p.resolve() for p in candidates]
        return [p for p in real if p.is_file() and p.is_relative_to(root)]

    def _refused(self, name: str, step: str, field: str) -> errors.Permanent:
        return errors.Permanent(
            f"'{name}' is not a file name; name a file below the uploads or a configured file root",
            step=step,
            field=field,
        )
