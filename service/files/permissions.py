"""Modes of the data directory: its owner alone, or also a group that may read the warehouse (PENSTOCK_DATA_GROUP)."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Iterator
from pathlib import Path

from service.kit import errors


def group_id(name: str | None) -> int | None:
    """The id of a group, given by name or number. Raises ``errors.Invalid``."""
    if name is None:
        return None
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise errors.Invalid(f"there is no group '{name}'", field="PENSTOCK_DATA_GROUP") from None


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """New files of this process are for their owner alone; ``share`` widens the modes of published files."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def restrict(folder: Path, group: int | None, *, shared: int) -> None:
    """Set a folder to 0700, with a ``group`` to the mode ``shared``. Raises ``errors.Invalid``."""
    try:
        if group is not None:
            os.chown(folder, -1, group)
        folder.chmod(0o700 if group is None else shared)
    except PermissionError as error:
        if group is None:
            return  # another user's directory that this one may write: its mode is for that user to choose
        raise errors.Invalid(
            f"{folder} cannot get the group {group}: the user of the service must be one of its members",
            field="PENSTOCK_DATA_GROUP",
        ) from error


def share(folder: Path, group: int | None) -> None:
    """Set the modes of a version that is complete: folders 0700, files 0400; with a ``group`` 0750 and 0440."""
    for above, _, files in os.walk(folder):
        for name in files:
            share_file(Path(above, name), group)
        _set(Path(above), group, 0o700 if group is None else 0o750)


def share_file(path: Path, group: int | None) -> None:
    """Set the mode of a file of a version that is complete."""
    _set(path, group, 0o400 if group is None else 0o440)


def _set(path: Path, group: int | None, mode: int) -> None:
    if group is not None:
        os.chown(path, -1, group, follow_symlinks=False)
    path.chmod(mode)
