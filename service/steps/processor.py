"""Processor: changes or measures the plan. Its fields are what users write under ``config``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import msgspec

from service.kit.errors import Problem
from service.steps.collector import Upstream
from service.steps.context import Context
from service.steps.frame import Frame


class Processor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all processors. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    On the wire a processor is ``{"type": tag, "config": {its fields}}``; ``EXAMPLE`` is the whole of that.
    """

    EXAMPLE: ClassVar[dict[str, Any]]
    idempotent: ClassVar[bool] = False
    """Whether rows that went through it may go through it again (``again``): it mends or checks what is there.

    It then adds no rows and leaves them in their order.
    """
    read_only: ClassVar[bool] = False
    """Whether it only looks at rows or takes some out, so that no value depends on what it measures."""
    static: ClassVar[bool] = False
    """Whether ``apply`` over no rows (``Context.dry``) refuses exactly what it would refuse whatever the rows are.

    It then gives the columns that it would give, or names in ``Context.dynamic_columns`` the settings that depend on
    the rows. Only then may a run be ended by it before a source was read.
    """

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to ``config``."""
        return ()

    def upstreams(self) -> Iterable[Upstream]:
        """The stored datasets that it reads, resolved before the run starts (``Context.upstreams`` by ``field``)."""
        return ()

    def spelled_out(self) -> Self:
        """The same settings with every short form in its long one, so that its defaults show (``model.normalized``)."""
        return self

    def again(self) -> Self:
        """The processor for rows that went through it, or through an earlier form of it, already."""
        return self

    def apply(self, frame: Frame, ctx: Context) -> Frame:
        """The plan after this step. Touches the data only through ``frame``.

        What is fitted goes to ``ctx.record``, rows that are refused to ``ctx.reject``.

        Raises ``errors.Permanent`` with ``field`` (relative to the processor, ``config.cast.price``).
        """
        raise TypeError(f"{type(self).__name__} does not process")
