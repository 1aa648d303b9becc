"""Collector: brings rows in. Its fields are its settings, its tag its ``type``, ``collect`` its work."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import polars as pl

from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.frame import Frame

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,62}$", description="Name of this source.")]


class Upstream(msgspec.Struct, frozen=True):
    """A stored dataset that a step reads: the newest version of a pipeline, or one of it.

    ``field`` is the setting that names it, relative to the step; ``column`` is one that it must have, which
    ``column_field`` names.
    """

    pipeline: str
    version: int | None = None
    field: str = "name"
    column: str | None = None
    column_field: str = ""


class Collector(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all collectors. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    ``EXAMPLE`` is a complete configuration of it as a user would write it, for OpenAPI and contract tests.
    """

    EXAMPLE: ClassVar[dict[str, Any]]

    id: Id | None = None

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to this collector."""
        return ()

    def upstream(self) -> Upstream | None:
        """The stored dataset that it reads, which is resolved before the run starts (``Context.stored``)."""
        return None

    def again(self, kept: Path, ctx: Context) -> pl.LazyFrame | None:
        """The rows that can be made now of the malformed ones in a quarantine file that this collector wrote.

        Those that cannot go to ``ctx.reject`` again. None where there is no way to make rows of them.
        """
        return None

    async def collect(self, ctx: Context) -> Frame:
        """Fetch or scan, and answer a lazy frame over what was found.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        raise TypeError(f"{type(self).__name__} does not collect")
