"""Rows to drop: settings for missing values and for duplicates."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from service.processors.settings import columns
from service.processors.settings.columns import Name

Rule = TypeVar("Rule", "DropMissing", "DropDuplicates")


class DropMissing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows with missing values to drop."""

    columns: Annotated[list[Name], msgspec.Meta(description="The columns to check; empty means all.")] = []
    how: Annotated[
        Literal["any", "all"],
        msgspec.Meta(description="Drop a row where any of them is missing, or only where all are."),
    ] = "any"


class DropDuplicates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which row to keep of those that agree in some columns. Missing equals missing, and NaN only NaN."""

    columns: Annotated[list[Name], msgspec.Meta(description="The key; empty is the whole row.")] = []
    keep: Annotated[
        Literal["first", "last", "none", "any"], msgspec.Meta(description="none drops every row that occurs again.")
    ] = "first"
    order_by: Annotated[
        Name | list[Name],
        msgspec.Meta(description="The order for first and last; by default as stored. Missing values are last."),
    ] = []

    @property
    def order(self) -> list[str]:
        return columns.as_list(self.order_by)


def long_form(setting: bool | list[str] | Rule, kind: type[Rule]) -> Rule | None:
    """The rule that a setting is short for: ``true`` means all columns, a list these. None for ``false``."""
    if isinstance(setting, bool):
        return kind() if setting else None
    return kind(setting) if isinstance(setting, list) else setting
