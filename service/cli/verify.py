"""``penstock verify``: compare the catalog with the files, and take lost versions back."""

from __future__ import annotations

import asyncio

import click
import msgspec

from service.bootstrap import Core
from service.cli import output, session
from service.cli.errors import Ended
from service.runs.verification import Verification, Verifier


def verify(*, data_dir: str | None, deep: bool, adopt: bool, as_json: bool) -> None:
    """Verify a data directory that no service uses. Exit code 1 if data is damaged or could not be adopted.

    Raises ``errors.Missing`` if the data directory is not there, ``errors.PenstockError`` if its catalog is damaged.
    """

    async def work(core: Core) -> Verification:
        verifier = Verifier(core.store, core.history, core.pipelines, core.layout, core.condition)
        return await asyncio.to_thread(lambda: verifier.verify(deep=deep, adopt=adopt))

    result = session.with_core(session.existing(data_dir=data_dir, without_catalog=True), work)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(result), "ok": not result.failed}).decode())
    else:
        for finding in result.findings:
            click.echo(f"{finding.kind}: {finding.folder}: {finding.message}")
        files = output.count_of(result.files, "file")
        click.echo(f"{output.count_of(result.versions, 'version')} with {files} compared")
    if result.failed:
        raise Ended(1)
