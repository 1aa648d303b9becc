"""The local files that a collector may read: those under the uploads and the configured roots, and no others.

Polars would fetch ``http://`` and ``s3://``, expand ``~`` and globs, and follow links by itself, so it never gets a
user's string: a name is resolved here, against the roots, without following symbolic links out of them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
from dataclasses import dataclass
from pathlib import Path

from service.kit import errors

_MAGIC = frozenset("*?[")
OUTSIDE = (
    "this path is not below the uploads or a configured file root, a symbolic link leads out of it, or it is in the "
    "data directory"
)
"""What is wrong with a name that ``Files.excludes``."""


@dataclass(frozen=True)
class Files:
    """The directories that may be read, in order of preference; the first is the upload directory.

    A root that contains the data directory (the working directory often does) does not open it: its catalog and its
    signing secret are files, too.
    """

    roots: tuple[Path, ...]
    data_dir: Path | None = None

    def resolve(self, name: str, step: str, field: str = "file_path") -> list[Path]:
        """The existing files that ``name`` denotes: a relative or absolute path, or a glob, under a root.

        A relative name is looked up in each root in turn. The files of a glob are sorted; if a file has exactly this
        name (``a [1].csv``), the name denotes that file.
        Raises ``errors.Permanent`` naming ``field`` if no readable file is found, or it is not below a root.
        """
        if "\x00" in name or "://" in name or name.startswith("~"):
            raise self._refused(name, step, field)
        for root in self.roots:
            found = self._under(root, root.resolve(), name)
            if found:
                return list(dict.fromkeys(found))
        if self.excludes(name):
            raise errors.Permanent(f"'{name}': {OUTSIDE}", step=step, field=field)
        raise errors.Permanent(
            f"no file '{name}' in the uploads or the configured file roots; upload it with "
            "PUT /api/v1/files/<path>, or add its directory to PENSTOCK_FILE_ROOTS",
            step=step,
            field=field,
        )

    def finds(self, name: str) -> bool:
        """Whether ``name`` denotes files that may be read. Looks them up, and reads none."""
        return any(self._under(root, root.resolve(), name) for root in self.roots)

    def excludes(self, name: str) -> bool:
        """Whether ``name`` leads out of the roots, as a path or by a symbolic link. Looks files up, and reads none."""
        if self.finds(name):
            return False
        below = [(root.resolve(), path) for root in self.roots if (path := _below(root, name)) is not None]
        return (
            not below
            or any(self._leads_out(root, [root / path]) for root, path in below)
            or (
                bool(_MAGIC & set(name))
                and any(self._leads_out(root, _matching(root, path.parts)) for root, path in below)
            )
        )

    def shown(self, path: Path) -> str:
        """A resolved file as a user would name it: relative to its root."""
        above = next((r.resolve() for r in self.roots if path.is_relative_to(r.resolve())), path.parent)
        return str(path.relative_to(above))

    def _under(self, root_as_configured: Path, root: Path, name: str) -> list[Path]:
        path = _below(root_as_configured, name)
        if path is None:
            return []
        found = self._inside(root, [root / path])
        return found or (self._inside(root, _matching(root, path.parts)) if _MAGIC & set(name) else [])

    def _inside(self, root: Path, paths: list[Path]) -> list[Path]:
        """The files behind ``paths`` that are open below ``root``."""
        return [p for p in map(_real, paths) if p is not None and self._is_open(root, p)]

    def _leads_out(self, root: Path, paths: list[Path]) -> bool:
        """Whether one of ``paths`` is not open below ``root`` when its links are followed, whether it exists or not."""
        for path in paths:
            with contextlib.suppress(OSError, RuntimeError, ValueError):  # too long, a loop of links
                if not self._is_open(root, path.resolve()):
                    return True
        return False

    def _is_open(self, root: Path, real: Path) -> bool:
        data = self.data_dir.resolve() if self.data_dir is not None else None
        closed = data is not None and real.is_relative_to(data) and not root.is_relative_to(data)
        return real.is_relative_to(root) and not closed

    def _refused(self, name: str, step: str, field: str) -> errors.Permanent:
        return errors.Permanent(
            f"'{name}' is not a file name; name a file below the uploads or a configured file root",
            step=step,
            field=field,
        )


def _below(root: Path, name: str) -> Path | None:
    """The path relative to ``root``; None for an absolute one that is not below it."""
    path = Path(name)
    if not path.is_absolute():
        return path
    above = next((r for r in (root.resolve(), root) if path.is_relative_to(r)), None)
    return path.relative_to(above) if above is not None else None


def _matching(root: Path, pattern: tuple[str, ...]) -> list[Path]:
    """The files below ``root`` that match a glob, sorted. Symbolic links to directories are not followed."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = [f for f in folders if not f.startswith(".") or any(p.startswith(".") for p in pattern)]
        above = Path(folder).relative_to(root).parts
        found.extend(Path(folder) / name for name in names if _matches((*above, name), pattern))
    return sorted(found)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern or not parts:
        return not pattern and not parts
    first, *rest = pattern
    if first == "**":
        return _matches(parts, tuple(rest)) or (not parts[0].startswith(".") and _matches(parts[1:], pattern))
    hidden = parts[0].startswith(".") and not first.startswith(".")
    return not hidden and fnmatch.fnmatchcase(parts[0], first) and _matches(parts[1:], tuple(rest))


def _real(path: Path) -> Path | None:
    """The file with links followed; None if it cannot be read."""
    try:
        real = path.resolve(strict=True)
        return real if real.is_file() else None
    except (OSError, RuntimeError, ValueError):  # missing, too long, a loop of links
        return None
