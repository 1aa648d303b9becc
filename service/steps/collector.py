"""Collector: brings rows in. Its fields are its settings, its tag its ``type``, ``collect`` its work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

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


@dataclass(frozen=True)
class Parent:
    """The collector of whose rows another makes its requests, by its id, and the columns that this takes of them.

    ``columns`` has the setting that names each, relative to the collector; ``field`` is the one that names the parent.
    ``kept`` says that the parent's rows are data, too.
    """

    collector: str
    columns: Mapping[str, str]
    field: str
    kept: bool = False


@dataclass(frozen=True)
class Declared:
    """The columns that a collector will bring, as far as its settings say.

    ``closed``: these and no others. The types of those in ``guessed`` are known only when rows were seen.
    """

    schema: pl.Schema
    closed: bool = True
    guessed: frozenset[str] = frozenset()

    @property
    def exact(self) -> bool:
        """Whether nothing is left to be found out."""
        return self.closed and not self.guessed


NOTHING = Declared(pl.Schema())
"""The columns of a collector whose rows are no data."""


class Collector(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all collectors. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    ``EXAMPLE`` is a complete configuration of it as a user would write it, for OpenAPI and contract tests.
    """

    EXAMPLE: ClassVar[dict[str, Any]]
    local: ClassVar[bool] = False
    """Whether it only reads files that are here, so that asking for its columns asks nobody else."""

    id: Id | None = None

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to this collector."""
        return ()

    def spelled_out(self) -> Self:
        """The same settings with every short form in its long one, so that its defaults show (``model.normalized``)."""
        return self

    def upstream(self) -> Upstream | None:
        """The stored dataset that it reads, which is resolved before the run starts (``Context.stored``)."""
        return None

    def parent(self) -> Parent | None:
        """The collector that it depends on, whose rows it finds in ``Context.parents``."""
        return None

    def address(self) -> str | None:
        """Where it asks, as it is written: what the addresses of collectors that depend on it are relative to."""
        return None

    def again(self, kept: Path, ctx: Context) -> pl.LazyFrame | None:
        """The rows that can be made now of the malformed ones in a quarantine file that this collector wrote.

        Those that cannot go to ``ctx.reject`` again. None where there is no way to make rows of them.
        """
        return None

    def declared(self) -> Declared | None:
        """The columns it will bring, from its settings alone; None where they say nothing."""
        return None

    def outlook(self, ctx: Context) -> dict[str, Any]:
        """What it would fetch (JSON-able, without secrets), found without asking anybody for it.

        Raises ``errors.Permanent`` where that shows already that it cannot.
        """
        return {}

    async def collect(self, ctx: Context) -> Frame:
        """Fetch or scan, and answer a lazy frame over what was found; with ``ctx.wanted_rows`` no more than it takes.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        raise TypeError(f"{type(self).__name__} does not collect")
