"""``penstock verify``: compare the catalog with the files, and take lost versions back."""

from __future__ import annotations

import asyncio

import click
import msgspec

from service.api import audit_actions
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.cli.errors import Ended
from service.kit import errors
from service.runs.core import Core
from service.runs.verification import Verification


def verify(*, data_dir: str | None, url: str | None, deep: bool, adopt: bool, as_json: bool) -> None:
    """Verify a data directory. Exit code 1 if data is damaged or could not be adopted.

    Raises ``errors.Missing`` if the data directory is not there, ``errors.PenstockError`` if its catalog is damaged,
    ``errors.Conflict`` (DATA_DIR_IN_USE) for ``adopt`` while a service runs.
    """

    async def work(core: Core) -> Verification:
        return await asyncio.to_thread(lambda: core.verifier.verify(deep=deep, adopt=adopt))

    with remote.service(url, data_dir, patient=True) as connection:
        if connection is None:
            found = session.existing(data_dir=data_dir, without_catalog=True)
            deed = Deed(audit_actions.VERIFY, details={"adopt": True}) if adopt else None
            result = session.with_core(found, work, deed)
        elif adopt:
            raise errors.Conflict("stop the service before 'penstock verify --adopt'", code="DATA_DIR_IN_USE")
        else:
            answer = connection.send("POST", "admin/verify", {"deep": deep})
            result = msgspec.convert(answer, Verification)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(result), "ok": not result.failed}).decode())
    else:
        for finding in result.findings:
            click.echo(f"{finding.kind}: {finding.folder}: {finding.message}")
        files = output.count_of(result.files, "file")
        click.echo(f"{output.count_of(result.versions, 'version')} with {files} compared")
    if result.failed:
        raise Ended(1)
