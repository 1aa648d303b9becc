"""``penstock validate``: one pipeline file, checked without a service and, as far as possible, without an engine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import msgspec

from service.cli import pipeline_file, session
from service.files.allowed_files import Files
from service.files.layout import Layout
from service.kit import settings as configuration
from service.model import pipeline as pipelines
from service.model import secret_names, source_files
from service.model.pipeline import Pipeline
from service.model.registry import Registry
from service.steps.report import StepWarning


def validate_file(file: Path, *, as_json: bool) -> None:
    """Check a pipeline file, its processors on the columns that its settings name, and the paths of its files.

    Raises ``errors.Invalid`` with all problems, or with the first that the columns show.
    """
    pipeline = pipelines.decode(pipeline_file.read(file), Registry.load())
    settings = session.settings()
    roots = (*settings.root_folders, *map(Path, pipeline_file.roots(file)))
    folders = (Layout(settings.root).uploads, *roots)
    files = Files(folders, settings.closed_folders, settings.root_buckets, settings.warehouse_url)
    source_files.check(pipeline, files)
    named = secret_names.warnings(pipeline, configuration.secrets(os.environ))
    warnings = [*source_files.missing(pipeline, files), *named, *_processed(pipeline)]
    if as_json:
        click.echo(msgspec.json.encode({"valid": True, "warnings": warnings}).decode())
        return
    for warning in warnings:
        click.echo(f"{click.style('warning', fg='yellow')} {warning.message}", err=True)
    parts = ", ".join(f"{len(getattr(pipeline, part))} in {part}" for part in ("collectors", "processors", "storage"))
    click.echo(f"{file}: the pipeline '{pipeline.name}' is valid ({parts})")


def _processed(pipeline: Pipeline) -> list[StepWarning]:
    """What the processors warn of; nothing where the columns of a source are not known before it is read."""
    if any(pipeline.declared(index) is None for index in range(len(pipeline.collectors))):
        return []
    from service.jobs.tasks import plan  # loads the engine

    with tempfile.TemporaryDirectory() as folder:
        return plan.validate_offline(pipeline.document, Path(folder))
