"""Processor: changes or measures the data. Its fields are what users write under ``config``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from service.kit.errors import Problem
from service.steps.collector import Upstream
from service.steps.context import ProcessContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl


class Processor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all processors. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    In JSON a processor is ``{"type": tag, "config": {its fields}}``; ``EXAMPLE`` is all of that.
    """

    EXAMPLE: ClassVar[dict[str, Any]]
    idempotent: ClassVar[bool] = False
    """Whether rows may go through it twice (``again``): it repairs or checks them, adds none and keeps their order."""
    read_only: ClassVar[bool] = False
    """Whether it only reads rows or takes some out, so that no value depends on what it measures."""
    at_once: ClassVar[bool] = False
    """Whether it needs all rows in one place (``Frame.query``), so that only the engine polars can execute it."""
    static: ClassVar[bool] = False
    """Whether ``apply`` without rows (``ProcessContext.dry``) raises exactly the errors that do not depend on rows.

    It then returns the columns that a run would have, or reports the settings whose columns depend on rows
    (``ProcessContext.add_dynamic_columns``). Only such a processor can end a run before a source was read.
    """

    @property
    def carries_originals(self) -> bool:
        """Whether it keeps the column ``losses.ORIGINALS`` beside the rows and columns that it belongs to."""
        return False

    @property
    def shows_originals(self) -> bool:
        """Whether it shows values that a step before lost as they were; it ``carries_originals``, too."""
        return False

    def former_names(self) -> Mapping[str, str]:
        """The columns that it renames: new name to old name."""
        return {}

    def must_repeat(self, schema: pl.Schema) -> bool:
        """Whether quarantined rows with these columns must go through it again, although it did not change."""
        return False

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to ``config``."""
        return ()

    def upstreams(self) -> Iterable[Upstream]:
        """The stored datasets that it reads, resolved before the run (``ProcessContext.upstreams``, by ``field``)."""
        return ()

    def spelled_out(self) -> Self:
        """The same settings with every short form written out, so that defaults show (``model.normalized``)."""
        return self

    def again(self) -> Self:
        """The processor for rows that went through it, or an earlier version of it, already."""
        return self

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        """The plan after this step. Touches the data only through ``frame``.

        Report fitted parameters by ``ctx.record`` and rejected rows by ``ctx.reject``.

        Raises ``errors.Permanent`` with ``field`` (relative to the processor, ``config.cast.price``).
        """
        raise TypeError(f"{type(self).__name__} does not process")
