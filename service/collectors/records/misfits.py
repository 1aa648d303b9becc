"""Misfits: values that do not fit the types under ``schema``, and the settings that say what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from service.steps.collector import Collector
from service.steps.context import CollectContext

MOST = 0.5
"""The share of a column's values that may be lost by default."""


@dataclass(frozen=True)
class Misfits:
    """Whether values that do not fit become null, and the greatest share of them (None: any)."""

    become_null: bool = False
    most: float | None = None


class TypedCollector(Collector, frozen=True, kw_only=True):
    """Base of the collectors whose columns have types under ``schema``."""

    on_error: Annotated[
        Literal["fail", "null"] | None,
        msgspec.Meta(
            description="What to do with a value that does not fit its type under schema: fail the run, or make it "
            "missing (null), counted as values_lost and bounded by max_lost_share."
        ),
    ] = "fail"
    max_lost_share: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=1)] | None,
        msgspec.Meta(
            description="The run fails if a greater share of a column's values does not fit its type under schema; 1 "
            "accepts all. By default 0.5 under on_error: null, else 0: the first such value fails. A share above 0 "
            "makes these values missing, as on_error: null does."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.on_error is None:  # YAML reads on_error: null as a null
            msgspec.structs.force_setattr(self, "on_error", "null")

    def misfits(self, ctx: CollectContext) -> Misfits:
        """What becomes of values that do not fit. A sample says nothing about shares."""
        share = self.max_lost_share
        if share is None:
            share = MOST if self.on_error == "null" else 0.0
        if not share and self.on_error == "fail":
            return Misfits()
        return Misfits(become_null=True, most=None if ctx.partial else share)
