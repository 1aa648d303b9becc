"""Lookup of the pipelines, revisions and versions that paths and headers name."""

from __future__ import annotations

import asyncio
import re

from service.api.services import Services
from service.catalog.pipelines import PipelineRecord, missing
from service.kit import errors
from service.model.version import Version
from service.values.version_name import TAG

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_REVISION = re.compile(r'(?:W/)?"?(\d{1,9})"?')


async def find_pipeline(services: Services, name: str, revision: int | None = None) -> PipelineRecord:
    """The pipeline of that name, at a revision. Raises ``errors.Missing``, also for a text that cannot be a name."""
    if revision is None and services.pipelines.has(valid_name(name)):
        return services.pipelines.get(name)
    return await asyncio.to_thread(services.pipelines.get, valid_name(name), revision)


async def find_version(
    services: Services, name: str, which: int | str | None = None, field: str = "version"
) -> Version:
    """A version of the pipeline of that name, by number or tag, as ``field`` of a query names it; None: the newest.

    Raises ``errors.Missing``; ``errors.Invalid`` for a text that is neither a number nor a tag.
    """
    chosen = chosen_version(which, field) if isinstance(which, str) else which
    record = services.pipelines.kept(name) or await find_pipeline(services, name)
    if chosen is None and services.history.has_newest(record.id):
        return services.history.version(record.id, name)
    return await asyncio.to_thread(services.history.version, record.id, name, chosen, field)


def chosen_version(text: str, field: str = "version") -> int | str:
    """The number or the tag in a parameter. Raises ``errors.Invalid``."""
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", text) is not None:
        return int(text)
    return valid_tag(text, field, "a version number from 1, or a tag")


def valid_tag(text: str, field: str = "tag", expected: str = "a tag") -> str:
    """``text``, if it can be a tag. Raises ``errors.Invalid``."""
    if re.fullmatch(TAG, text) is None:
        raise errors.Invalid(
            f"{field}: expected {expected} (lower-case letters, digits, - and _, a letter first, at most 63), "
            f"got '{text[:60]}'",
            field=field,
        )
    return text


def valid_name(name: str) -> str:
    """``name``, if a pipeline may have it, so that no other text reaches the file system. Raises ``errors.Missing``."""
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


def named_version(text: str, name: str) -> int | str:
    """A version number or a tag in a path. Raises ``errors.Missing`` (VERSION_NOT_FOUND)."""
    if re.fullmatch(TAG, text) is not None:
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.Missing(
            f"the pipeline '{name}' has no version '{text}'", code="VERSION_NOT_FOUND", field="version"
        )
    return int(text)
