"""Retention: how many versions and days of runs a pipeline keeps (``retention`` or ``keep_versions``)."""

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
    """Problems between ``retention`` and its alias."""
    if "keep_versions" in document and "retention" in document:
        yield Problem("keep_versions", "is another way to write retention.versions; set one of them")
