"""``penstock probe``: look at a source and write a pipeline that reads it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from service.cli import output, session
from service.jobs.tasks.task import Probing
from service.kit import errors
from service.probing.finding import Finding, Probe
from service.runs.core import Core

_SECONDS = 30.0


def probe(source: str, *, allowed_private_hosts: tuple[str, ...] | None, as_json: bool) -> None:
    """Print what was found in a file or at a URL: on standard output a pipeline as YAML, or with ``as_json`` all.

    Raises ``errors.Invalid``, ``errors.TimedOut`` and what a step raises.
    """
    is_url = re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE) is not None
    if not is_url and not Path(source).is_file():
        reason = "Is a directory" if source and Path(source).is_dir() else "No such file or directory"
        raise errors.Missing(f"{source or 'the file'} cannot be read: {reason}", field="file_path")
    question = Probe(url=source) if is_url else Probe(file_path=source)
    problems = list(question.problems())
    if problems:
        raise errors.Invalid.of(problems, "arguments")
    with tempfile.TemporaryDirectory(prefix="penstock-probe-") as folder:
        settings = session.settings(data_dir=folder, allowed_private_hosts=allowed_private_hosts)
        here = (str(Path.cwd()), *([str(Path(source).absolute().parent)] if not is_url else []))
        settings = msgspec.structs.replace(settings, file_roots=(*settings.file_roots, *here))
        answer = session.with_core(settings, lambda core: _ask(core, question))
    if as_json:
        click.echo(answer.decode())
        return
    finding = msgspec.json.decode(answer, type=Finding)
    _print_finding(finding)
    if finding.collector is None:
        raise errors.Forbidden("robots.txt forbids this page, so no collector is proposed")
    click.echo(_document(source, finding.collector), nl=False)


async def _ask(core: Core, question: Probe) -> bytes:
    named = [question.url, question.file_path, question.headers, question.auth]
    return await core.tasks.ask(
        Probing(probe=question), seconds=_SECONDS, document=named, network=question.url is not None
    )


def _print_finding(finding: Finding) -> None:
    """What was found, on standard error, so that standard output is the pipeline alone."""
    output.ERR.print(f"[bold]{finding.format}[/bold], {output.count_of(finding.sample_rows, 'row')} read")
    if finding.columns:
        columns = [{"column": c.name, "type": c.type, "samples": _samples(c)} for c in finding.columns]
        output.ERR.print(output.table(["column", "type", "samples"], columns))
    for note in finding.notes:
        output.ERR.print(f"[yellow]note[/yellow] {output.escape(note)}")


def _samples(column: Any) -> str:
    return ", ".join(str(value) for value in column.samples[:3])


def _document(source: str, collector: dict[str, Any]) -> str:
    import yaml

    stem = re.sub(r"[^a-z0-9]+", "_", source.rstrip("/").rpartition("/")[2].lower().split("?")[0].split(".")[0])
    name = stem.strip("_")[:60]
    name = name if re.match(r"[a-z]", name) else f"source_{name}".rstrip("_")
    document = {"name": name, "collectors": [collector]}
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
