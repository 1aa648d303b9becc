"""Retention: how many versions and days of runs a pipeline keeps (``retention``, or its alias ``keep_versions``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from service.kit.errors import Problem

DEFAULT_VERSIONS = 30
"""How many versions a pipeline keeps whose configuration does not say; older pipelines keep all."""

DEFAULT_DAYS = 90
"""How many days ended runs and their logs are kept; older pipelines keep all."""

Versions = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | Literal["all"]


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which versions and runs of the pipeline are kept.

    ``versions`` is how many of the newest versions are kept, 30 by default, or ``all``. Older ones are deleted after
    each commit, unless they are pinned, tagged, or being read. ``days`` is how long ended runs are kept, with their
    logs and events; those of kept versions stay, and ``stats`` go on counting the others.
    """

    versions: Versions = DEFAULT_VERSIONS
    days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = DEFAULT_DAYS


def problems(document: Mapping[str, Any]) -> Iterable[Problem]:
    """Problems between ``retention`` and its aliases."""
    if "keep_versions" in document and "retention" in document:
        yield Problem("keep_versions", "is another way to write retention.versions; set one of them")
    for place, item in _storages(document):
        if _of_document(document) not in (None, item["keep_versions"]):
            yield Problem(f"storage[{place}].keep_versions", "differs from retention.versions; set one of them")


def by_alias(document: Mapping[str, Any]) -> Retention | None:
    """The retention that a valid configuration writes as ``keep_versions``, beside its storages or in one of them."""
    named = [document.get("keep_versions"), *(item["keep_versions"] for _, item in _storages(document))]
    return next((Retention(versions=versions) for versions in named if versions is not None), None)


def _of_document(document: Mapping[str, Any]) -> Any:
    """The number beside the storages, 30 if ``retention`` leaves it out; None if nothing is said there."""
    kept = document.get("retention")
    return kept.get("versions", DEFAULT_VERSIONS) if isinstance(kept, Mapping) else document.get("keep_versions")


def _storages(document: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The storages with ``keep_versions``, and their places."""
    items = document.get("storage")
    found = enumerate(items if isinstance(items, list) else [])
    return [(place, item) for place, item in found if isinstance(item, Mapping) and item.get("keep_versions")]
