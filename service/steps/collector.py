"""Collector: fetches rows. Its fields are its settings, its tag is its ``type``, ``collect`` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec

from service.kit.errors import Problem
from service.steps.context import CollectContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,62}\Z", description="Name of this source.")]


class Upstream(msgspec.Struct, frozen=True):
    """A stored dataset that a step reads: one version of a pipeline, by number or tag, or the newest (None).

    ``field`` is the setting that names it, relative to the step. ``column`` must exist in it; ``column_field`` is the
    setting that names that column.
    """

    pipeline: str
    version: int | str | None = None
    field: str = "name"
    column: str | None = None
    column_field: str = ""


@dataclass(frozen=True)
class Parent:
    """Reference to a parent collector: its id and the columns that the child uses.

    ``columns`` maps each column to the setting that names it, relative to the child; ``field`` is the setting that
    names the parent. With ``kept`` the parent's rows are data, too.
    """

    collector: str
    columns: Mapping[str, str]
    field: str
    kept: bool = False


@dataclass(frozen=True)
class Declared:
    """The columns that a collector will deliver, as far as its settings say.

    ``closed``: these and no others. The types of the columns in ``guessed`` are known only when rows were seen.
    """

    schema: pl.Schema
    closed: bool = True
    guessed: frozenset[str] = frozenset()

    @classmethod
    def nothing(cls) -> Declared:
        """The columns of a collector whose rows are not data."""
        import polars as pl

        return cls(pl.Schema())

    @property
    def exact(self) -> bool:
        """Whether all columns and types are known."""
        return self.closed and not self.guessed


class Collector(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all collectors. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    ``EXAMPLE`` is a complete configuration as a user would write it, for OpenAPI and contract tests.
    """

    EXAMPLE: ClassVar[dict[str, Any]]
    local: ClassVar[bool] = False
    """Whether it reads only local files, so that reading its columns sends no request."""

    id: Id | None = None

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to this collector."""
        return ()

    def spelled_out(self) -> Self:
        """The same settings with every short form written out, so that defaults show (``model.normalized``)."""
        return self

    def upstream(self) -> Upstream | None:
        """The stored dataset that it reads, resolved before the run starts (``CollectContext.stored``)."""
        return None

    def parent(self) -> Parent | None:
        """The collector that it depends on; ``CollectContext.parents`` has that one's rows."""
        return None

    def address(self) -> str | None:
        """Its URL as written; URLs of collectors that depend on it are relative to this one."""
        return None

    def again(self, kept: Path, ctx: CollectContext) -> pl.LazyFrame | None:
        """The rows that can be read now from malformed ones in a quarantine file that this collector wrote.

        Rows that are still malformed go to ``ctx.reject`` again. None if this collector cannot read them again.
        """
        return None

    def declared(self) -> Declared | None:
        """The columns that it will deliver, from its settings alone; None if they do not say."""
        return None

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        """What it would fetch (JSON-able, without secrets), without sending any request.

        Raises ``errors.Permanent`` if the settings show already that it cannot.
        """
        return {}

    async def collect(self, ctx: CollectContext) -> Frame:
        """Fetch or scan, and return a lazy frame (``ctx.frame``); with ``ctx.wanted_rows`` stop once it has these.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        raise TypeError(f"{type(self).__name__} does not collect")
