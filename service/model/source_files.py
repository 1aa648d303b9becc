"""The files that the collectors of a pipeline name: which lead out of the roots, and which do not exist yet.

Files are looked up and not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.collectors.source_file import paths
from service.collectors.source_file.file_collector import FileCollector
from service.files.allowed_files import Files
from service.files.object_copies import Named
from service.kit import errors, store_url
from service.kit.errors import Problem
from service.model.pipeline import Pipeline
from service.steps.report import StepWarning


def check(pipeline: Pipeline, files: Files) -> None:
    """Raise ``errors.Invalid`` with every path that leads out of the roots, as itself or by a symbolic link."""
    problems = [
        Problem(f"{step}.{problem.field}", problem.message)
        for step, collector in _collectors(pipeline)
        for problem in collector.excluded(files)
    ]
    if problems:
        raise errors.Invalid.of(problems)


def missing(pipeline: Pipeline, files: Files) -> list[StepWarning]:
    """A warning for each path that names no file now; it may exist when the pipeline is executed."""
    return [
        StepWarning(step, "no_file", f"{step}.{problem.field}: {problem.message}", {"field": problem.field})
        for step, collector in _collectors(pipeline)
        for problem in collector.missing(files)
    ]


def objects(pipeline: Pipeline) -> list[Named]:
    """The names of objects in buckets, with the steps and settings that have them."""
    return [
        Named(step, field, name, collector.samples_head)
        for step, collector in _collectors(pipeline)
        for field, name in paths.entries(collector.file_path)
        if store_url.names_objects(name)
    ]


def _collectors(pipeline: Pipeline) -> Iterator[tuple[str, FileCollector]]:
    for place, collector in enumerate(pipeline.collectors):
        if isinstance(collector, FileCollector):
            yield f"collectors[{place}]", collector
