"""Names: pipelines, revisions and versions as paths and headers give them, looked up."""

from __future__ import annotations

import asyncio
import re

from service.api.services import Services
from service.catalog.pipelines import PipelineRecord, missing
from service.kit import errors
from service.model.version import Version

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_REVISION = re.compile(r'(?:W/)?"?(\d{1,9})"?')


async def known(services: Services, name: str, revision: int | None = None) -> PipelineRecord:
    """The pipeline of that name. Raises ``errors.Missing``, also for what cannot be a name."""
    return await asyncio.to_thread(services.pipelines.get, checked(name), revision)


async def stored(services: Services, name: str, number: int | None = None) -> Version:
    """A version of the pipeline of that name, the newest for None. Raises ``errors.Missing``."""
    record = await known(services, name)
    return await asyncio.to_thread(services.history.version, record.id, name, number)


def checked(name: str) -> str:
    """``name``, if a pipeline could have it: the part of a path never reaches a folder otherwise."""
    if _NAME.fullmatch(name) is None:
        raise missing(name)
    return name


def revision_of(if_match: str | None) -> int | None:
    """The revision that If-Match names; None for any. Raises ``errors.Invalid``."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = _REVISION.fullmatch(if_match.strip())
    if match is None:
        raise errors.Invalid('If-Match: one revision, as ETag gave it ("3")', field="If-Match")
    return int(match[1])


def version_of(text: str, name: str) -> int:
    """A version number in a path. Raises ``errors.Missing`` (VERSION_NOT_FOUND)."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.Missing(
            f"the pipeline '{name}' has no version '{text}'", code="VERSION_NOT_FOUND", field="version"
        )
    return int(text)
