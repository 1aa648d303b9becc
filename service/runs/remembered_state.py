"""What collectors remember for the next run: files in the folder of a version, and what a crash left beside them.

They lie in the folder ``STATE``, or, after a run that left the version unchanged, in a folder of that run. The catalog
decides which of them holds; the manifest follows, and then the others are removed.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec
import structlog

from service.files.layout import RUN_STATE, STATE, Layout
from service.model.version import Version
from service.runs import manifest
from service.steps.storage import File

_log = structlog.get_logger("penstock.recovery")


def remembered_in(folder: Path, state: list[File]) -> tuple[Path, list[File]]:
    """The folder that holds ``STATE`` of a version in ``folder``, and its files with names from there."""
    if not state or not state[0].name.startswith(f"{RUN_STATE}/"):
        return folder, state
    place = "/".join(state[0].name.split("/")[:2])
    return folder / place, plain(state)


def plain(state: list[File]) -> list[File]:
    """The files with their names from ``STATE`` on."""
    return [
        msgspec.structs.replace(f, name=f.name.split("/", 2)[2]) if f.name.startswith(f"{RUN_STATE}/") else f
        for f in state
    ]


def tidy(folder: Path, layout: Layout, version: Version) -> None:
    """Let the manifest name the state of ``version``, and remove every other state from its folder. Safe to repeat.

    If the manifest cannot be written, or is damaged, that is logged, and every state stays.
    """
    if not (folder / RUN_STATE).is_dir():  # no run has left this version unchanged
        return
    found = manifest.read(folder)
    if found is None or found.state != version.state:
        try:
            manifest.amend(folder, layout, state=version.state)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("state.not_tidied", pipeline=version.pipeline, version=version.version, reason=str(error))
            return
    place, _ = remembered_in(folder, version.state)
    holding = {place, place / STATE} if version.state else set()
    for earlier in {folder / STATE, *(folder / RUN_STATE).iterdir()} - holding:
        shutil.rmtree(earlier, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not empty
        (folder / RUN_STATE).rmdir()
