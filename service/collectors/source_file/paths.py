"""The setting ``file_path`` of every collector that reads files, and the files that it names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from service.files import allowed_files
from service.files.allowed_files import Files
from service.kit import store_url
from service.kit.errors import Problem
from service.steps.context import CollectContext

_SHOWN = 1000
FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
FilePath = Annotated[
    FileName | Annotated[list[FileName], msgspec.Meta(min_length=1, max_length=10_000)],
    msgspec.Meta(
        description="File, list of files, or glob; relative to the uploads and the file roots, or objects of a bucket "
        "that the operator allows: s3://bucket/folder/*.csv, gs://…, az://…."
    ),
]


def entries(file_path: str | list[str]) -> Iterable[tuple[str, str]]:
    """Each name, after the setting that has it."""
    if isinstance(file_path, str):
        yield "file_path", file_path
        return
    for index, name in enumerate(file_path):
        yield f"file_path[{index}]", name


def problems(file_path: str | list[str]) -> Iterable[Problem]:
    """Problems of names that cannot be files below a root."""
    for field, name in entries(file_path):
        if store_url.names_objects(name):
            if (fault := store_url.fault_of_name(name)) is not None:
                yield Problem(field, fault)
            continue
        name = allowed_files.path_of(name)
        if "://" in name or name.startswith("~") or "\0" in name:
            yield Problem(field, "name a file below the uploads or a configured file root")
        elif ".." in name.replace("\\", "/").split("/"):
            yield Problem(field, "'..' leads out of the uploads and file roots; name the file itself")


def excluded(file_path: str | list[str], files: Files) -> Iterable[Problem]:
    """Problems of paths that lead out of the roots. A placeholder is known only in a run."""
    for field, name in entries(file_path):
        if "${" not in name and files.excludes(name):
            yield Problem(field, files.refusal(name) or allowed_files.OUTSIDE)


def missing(file_path: str | list[str], files: Files) -> Iterable[Problem]:
    """What a run would not find now. A placeholder is known only in a run."""
    for field, name in entries(file_path):
        if "${" not in name and not files.finds(name):
            yield Problem(field, f"the file '{name}' does not exist yet; a run fails until you add it")


def outlook(file_path: str | list[str], ctx: CollectContext) -> dict[str, Any]:
    """The files as a plan shows them, with their sizes. Raises ``errors.Permanent`` if one is missing."""
    files = [{"name": ctx.files.shown(path), "bytes": path.stat().st_size} for path in resolve(file_path, ctx)]
    return {"kind": "files", "files": files[:_SHOWN], "count": len(files), "bytes": sum(f["bytes"] for f in files)}


def resolve(file_path: str | list[str], ctx: CollectContext) -> list[Path]:
    """The files, each once, in order. Raises ``errors.Permanent`` if one is missing."""
    paths: dict[Path, None] = {}
    for field, name in entries(file_path):
        paths.update(dict.fromkeys(ctx.files.resolve(ctx.fill(name), ctx.step, field)))
    return list(paths)
