"""The objects that the collectors of a pipeline name, copied into the folder of a job before it starts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from pathlib import Path

from service.collectors.source_file import head
from service.files import object_copies
from service.files.allowed_files import Files, ObjectCopy
from service.kit import errors
from service.model import source_files
from service.model.pipeline import Pipeline
from service.runs.job_resources import JobResources

SAMPLE_BYTES = 1 << 30
"""What previews and plans copy at most."""
_HEAD_BYTES = 2 * head.MOST_BYTES + (1 << 20)  # a head ends with the record that fills it, whose line may be as long


async def fetched(
    resources: JobResources, pipeline: Pipeline, folder: Path, *, most_bytes: int | None = None, heads: bool = False
) -> dict[str, tuple[ObjectCopy, ...]]:
    """The copies, by the names in the configuration; none where it names no objects.

    With ``heads`` they are for a sample. When this is cancelled, nothing is written any more.

    Raises as ``object_copies.copied``.
    """
    named = source_files.objects(pipeline)
    if not named:
        return {}
    stopped, settings = threading.Event(), resources.settings

    def go_on() -> None:
        if stopped.is_set():
            raise errors.Unavailable("nobody waits for the copies of objects any more")

    files = Files((), buckets=settings.root_buckets, warehouse=settings.warehouse_url)
    work = asyncio.ensure_future(
        asyncio.to_thread(
            functools.partial(
                object_copies.copied, named, files, folder, seconds=settings.warehouse_timeout_seconds,
                most_bytes=most_bytes, head_bytes=_HEAD_BYTES if heads else None, go_on=go_on,
            )
        )
    )  # fmt: skip
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stopped.set()
        with contextlib.suppress(errors.PenstockError, OSError):
            await work
        raise
