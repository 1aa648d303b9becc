"""The files that a collector may read: those under the uploads and the configured roots, and no others.

Polars would fetch ``http://`` and ``s3://``, expand ``~`` and globs, and follow links by itself, so it never gets a
user's string: a name is resolved here, against the roots, without following symbolic links out of them. The objects
of a bucket are read from copies that the service has made (``files.object_copies``).
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import msgspec

from service.kit import errors, store_url

_MAGIC = frozenset("*?[")
OUTSIDE = (
    "this path is not below the uploads or a configured file root, a symbolic link leads out of it, or it is in the "
    "data directory or the warehouse"
)
"""What is wrong with a name that ``Files.excludes``."""


class ObjectCopy(msgspec.Struct, frozen=True):
    """The copy of an object that a job reads: the object's URL, and the path of the copy."""

    url: str
    path: str


@dataclass(frozen=True)
class Files:
    """The directories that may be read, in order of preference; the first is the upload directory.

    ``buckets`` are those, and folders in them, whose objects may be named; ``copies`` has the objects that a job reads,
    by the names that its configuration has for them.

    A root that contains one of the ``closed`` folders (the working directory often has the data directory in it) does
    not open it: the catalog, the signing secret and the versions of others are files, too. Nor does a bucket that has
    the ``warehouse`` in it.
    """

    roots: tuple[Path, ...]
    closed: tuple[Path, ...] = ()
    buckets: tuple[str, ...] = ()
    warehouse: str | None = None
    copies: Mapping[str, Sequence[ObjectCopy]] = field(default_factory=dict)

    def resolve(self, name: str, step: str, field: str = "file_path") -> list[Path]:
        """The existing files that ``name`` denotes: a relative or absolute path, or a glob, under a root.

        A relative name is looked up in each root in turn. The files of a glob are sorted; if a file has exactly this
        name (``a [1].csv``), the name denotes that file.
        Raises ``errors.Permanent`` naming ``field`` if no readable file is found, or it is not below a root.
        """
        if store_url.names_objects(name):
            if name not in self.copies:
                message = f"'{name}': objects are read by runs, previews and plans"
                raise errors.Permanent(message, step=step, field=field)
            return [Path(copy.path) for copy in self.copies[name]]
        name = path_of(name)
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
        """Whether ``name`` denotes files that may be read. Looks them up, and reads none; asks no bucket."""
        if store_url.names_objects(name):
            return self.refusal(name) is None
        name = path_of(name)
        return any(self._under(root, root.resolve(), name) for root in self.roots)

    def excludes(self, name: str) -> bool:
        """Whether ``name`` leads out of the roots, as a path or by a symbolic link. Looks files up, and reads none."""
        if self.finds(name):
            return False
        if store_url.names_objects(name):
            return True
        name = path_of(name)
        below = [(root.resolve(), path) for root in self.roots if (path := _below(root, name)) is not None]
        return (
            not below
            or any(self._leads_out(root, [root / path]) for root, path in below)
            or (
                bool(_MAGIC & set(name))
                and any(self._leads_out(root, _matching(root, path.parts)) for root, path in below)
            )
        )

    def refusal(self, name: str) -> str | None:
        """Why the objects ``name`` may not be read; None if they may, or it names no objects."""
        if not store_url.names_objects(name):
            return None
        roots = [root for root in self.buckets if store_url.is_below(name, root)]
        if self.warehouse is not None and store_url.is_below(name, self.warehouse):
            roots = [root for root in roots if store_url.is_below(root, self.warehouse)]
        if roots:
            return None
        return (
            "collectors may not read this bucket, or this folder in it; an operator can allow it with "
            "PENSTOCK_FILE_ROOTS=s3://bucket/folder (gs://, az://)"
        )

    @functools.cached_property
    def _urls(self) -> Mapping[Path, str]:
        return {Path(copy.path): copy.url for copies in self.copies.values() for copy in copies}

    def shown(self, path: Path) -> str:
        """A resolved file as a user would name it: relative to its root; an object by its URL."""
        if path in self._urls:
            return self._urls[path]
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
        closed = (folder.resolve() for folder in self.closed)
        shut = any(real.is_relative_to(folder) and not root.is_relative_to(folder) for folder in closed)
        return real.is_relative_to(root) and not shut

    def _refused(self, name: str, step: str, field: str) -> errors.Permanent:
        return errors.Permanent(
            f"'{name}' is not a file name; name a file below the uploads or a configured file root",
            step=step,
            field=field,
        )


def path_of(name: str) -> str:
    """The path that a ``file://`` URL names; another name as it is."""
    return unquote(name.removeprefix("file://")) if name.startswith("file:///") else name


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
        found.extend(Path(folder) / name for name in names if matches((*above, name), pattern))
    return sorted(found)


def matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the parts of a path match those of a glob."""
    if not pattern or not parts:
        return not pattern and not parts
    first, *rest = pattern
    if first == "**":
        return matches(parts, tuple(rest)) or (not parts[0].startswith(".") and matches(parts[1:], pattern))
    hidden = parts[0].startswith(".") and not first.startswith(".")
    return not hidden and fnmatch.fnmatchcase(parts[0], first) and matches(parts[1:], tuple(rest))


def _real(path: Path) -> Path | None:
    """The file with links followed; None if it cannot be read."""
    try:
        real = path.resolve(strict=True)
        return real if real.is_file() else None
    except (OSError, RuntimeError, ValueError):  # missing, too long, a loop of links
        return None
