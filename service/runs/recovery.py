"""Startup recovery after a crash. Safe to repeat."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.catalog.history import History
from service.files.layout import MANIFEST, Layout
from service.runs import attempt


def repair(history: History, layout: Layout, now: datetime) -> list[str]:
    """Mark runs that were going as ``interrupted``; remove staging and version folders that no commit names.

    Answers the ids of the interrupted runs. Native tables that are missing are for the supervisor to load.
    """
    interrupted = []
    for run in history.unfinished():
        history.update_run(
            msgspec.structs.replace(run, status="interrupted", end_time=now, phase=None, error=attempt.interrupted(run))
        )
        interrupted.append(run.run_id)
    log = structlog.get_logger("penstock.repair")
    for folder in _children(layout.staging_root):
        shutil.rmtree(folder, ignore_errors=True)
        log.info("staging.removed", run_id=folder.name)
    for pipeline in _children(layout.warehouse):
        if pipeline.name.startswith("."):
            continue
        for folder in _children(pipeline):
            for left in folder.glob(".tmp-*"):
                left.unlink()
            if not history.is_committed(_run_of(folder)):
                shutil.rmtree(folder, ignore_errors=True)
                log.info("version.removed", pipeline=pipeline.name, folder=folder.name, reason="never committed")
    for folder in _children(layout.spill):
        shutil.rmtree(folder, ignore_errors=True)
    for file in layout.pace.glob("*"):  # moments of a clock that may have begun anew
        file.unlink(missing_ok=True)
    return interrupted


def _children(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def _run_of(folder: Path) -> str:
    try:
        manifest: dict[str, Any] = msgspec.json.decode((folder / MANIFEST).read_bytes())
    except (OSError, msgspec.DecodeError):
        return ""
    return str(manifest.get("run_id", ""))
