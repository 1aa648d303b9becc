"""``penstock backup`` and ``penstock restore``: copy a data directory, and make one from a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from service.api import audit_actions
from service.catalog.history import History
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.files import permissions
from service.kit.clock import SystemClock
from service.runs.backup import BackupReport, Backups
from service.runs.restore import restore as restore_backup
from service.telemetry import logs


def backup(directory: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Make a backup in ``directory``: of a data directory, or by the service at ``url`` on that machine's disk.

    Raises ``errors.Missing``, ``errors.Invalid``, ``errors.Conflict``, ``errors.Unavailable`` (STORAGE_FULL).
    """
    logs.configure("console", "critical")  # the command prints errors itself
    here = directory if url is not None else str(Path(directory).absolute())
    report: dict[str, Any]
    with remote.service(url, data_dir, patient=True) as connection:
        if connection is not None:
            report = connection.send("POST", "admin/backup", {"directory": here})
        else:
            report = msgspec.to_builtins(_make(here, data_dir))
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    versions, files = output.count_of(report["versions"], "version"), output.count_of(report["files"], "file")
    size, shared = output.size(report["bytes"]), output.size(report["shared_bytes"])
    click.echo(f"backed up {versions} in {files} to {report['directory']}: {size}, {shared} of it shared")


def _make(directory: str, data_dir: str | None) -> BackupReport:
    return session.with_catalog(
        session.existing(data_dir=data_dir),
        lambda layout, store: Backups(store, History(store), layout, SystemClock()).make(directory),
        Deed(audit_actions.BACK_UP, directory),
    )


def restore(directory: str, *, data_dir: str | None, as_json: bool) -> None:
    """Restore the newest backup in ``directory`` to an empty data directory.

    Raises ``errors.Missing``, ``errors.Conflict``, ``errors.PenstockError`` (DATA_CORRUPT).
    """
    logs.configure("console", "critical")
    # a backup has its catalog in a file: what is restored does not belong to the database that is in use now
    settings = msgspec.structs.replace(session.settings(data_dir=data_dir), catalog_url=None, warehouse_url=None)
    with permissions.private_umask():
        report = restore_backup(
            Path(directory).absolute(), settings.root, permissions.group_id(settings.data_group), SystemClock()
        )
    session.with_catalog(settings, lambda *_: None, Deed(audit_actions.RESTORE, report.backup))
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    versions, files = output.count_of(report.versions, "version"), output.count_of(report.files, "file")
    click.echo(
        f"restored {versions} in {files} ({output.size(report.bytes)}) from {report.backup} to {report.data_dir}"
    )
