"""The bounds that the version of a run must keep to be published (``publish_if`` in a configuration).

They compare it with the newest published version. Where that has nothing to compare with (no rows, no profile of a
column), a bound is kept: the first version is published, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Protocol

import msgspec

from service.kit import decoding
from service.kit.errors import Problem
from service.model.breach import Breach, Measure
from service.model.version import Column, Version, changes, named_types
from service.processors.analyzer import Analyzer
from service.steps.processor import Processor
from service.steps.report import StepWarning
from service.values import drift
from service.values.profile import ColumnProfile, Profile

FIELD = "publish_if"


class PublicationBounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the version of a run is published; else the run ends as `held`, and its version waits for a decision.

    All bounds compare with the newest published version. A run whose rows equal it is never held.
    """

    max_row_drop_share: (
        Annotated[
            float, msgspec.Meta(ge=0, le=1, description="Rows may fall by at most this share: 0.2 is from 100 to 80.")
        ]
        | None
    ) = None
    max_row_growth_share: (
        Annotated[
            float,
            msgspec.Meta(ge=0, le=1e9, description="Rows may grow by at most this share: 0.5 is from 100 to 150."),
        ]
        | None
    ) = None
    no_schema_break: Annotated[
        bool, msgspec.Meta(description="No column may be removed or have another type; new columns are published.")
    ] = False
    max_drift: Annotated[
        dict[str, Annotated[float, msgspec.Meta(ge=0, le=1e9)]],
        msgspec.Meta(
            description="The most that the distribution of a column may move, as the population stability index: "
            "above 0.25 is a significant change by convention. The column needs an analyzer.",
            examples=[{"amount": 0.25}],
        ),
    ] = {}


class Measured(Protocol):
    """What bounds look at in a new version."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> list[Column]: ...

    @property
    def profiles(self) -> list[Profile]: ...


def problems(value: PublicationBounds, processors: Sequence[Processor]) -> Iterable[Problem]:
    """Columns in ``max_drift`` that no analyzer profiles."""
    analyzers = [p for p in processors if isinstance(p, Analyzer)]
    for column in value.max_drift:
        if not any(not a.columns or column in a.columns for a in analyzers):
            yield Problem(
                decoding.join(f"{FIELD}.max_drift", column),
                f"needs the profile of '{column}'; add an analyzer, or add the column to the columns of one",
            )


def breaches(bounds: PublicationBounds, before: Version, after: Measured) -> list[Breach]:
    """The bounds that a version breaks, compared with the newest published one."""
    found = [*_rows(bounds, before, after.rows)]
    if bounds.no_schema_break:
        found += _schema(before, after)
    earlier, later = drift.columns(before.profiles), drift.columns(after.profiles)
    for column, bound in bounds.max_drift.items():
        if _is_comparable(earlier.get(column)):
            psi = drift.psi(earlier[column], later[column]) if column in later else None
            if psi is None or psi > bound:
                found.append(_drift(column, psi, bound, before.version))
    return found


def warnings(bounds: PublicationBounds, before: Version) -> list[StepWarning]:
    """A warning for each column whose drift cannot be measured, since the version before has no profile of it."""
    profiled = drift.columns(before.profiles)
    return [
        StepWarning(
            FIELD, "drift_not_measured",
            f"the drift of '{column}' was not measured: version {before.version} has no profile of it",
            {"column": column, "version": before.version},
        )
        for column in bounds.max_drift if not _is_comparable(profiled.get(column))
    ]  # fmt: skip


def _rows(bounds: PublicationBounds, before: Version, rows: int) -> Iterable[Breach]:
    if not before.rows:
        return
    change = (rows - before.rows) / before.rows
    measures: Mapping[Measure, tuple[str, float, float | None]] = {
        "row_drop_share": ("fell", -change, bounds.max_row_drop_share),
        "row_growth_share": ("grew", change, bounds.max_row_growth_share),
    }
    for measure, (verb, share, bound) in measures.items():
        if bound is not None and share > bound:
            message = (
                f"rows {verb} by a share of {share:.4g}, from {before.rows} to {rows}; at most {bound:g} is allowed"
            )
            yield Breach(measure=measure, value=share, bound=bound, message=message)


def _schema(before: Version, after: Measured) -> list[Breach]:
    broken = [c for c in changes(named_types(before.columns), named_types(after.columns)) if c.change != "added"]
    if not broken:
        return []
    listed = [
        f"'{c.column}' was removed" if c.change == "removed" else f"'{c.column}' was {c.before} and is {c.after}"
        for c in broken
    ]
    message = f"columns of version {before.version} changed: {', '.join(listed)}"
    return [Breach(measure="schema_break", value=float(len(broken)), bound=0.0, message=message)]


def _is_comparable(column: ColumnProfile | None) -> bool:
    """Whether drift from this column can be measured: it has a distribution, which can be compared with itself."""
    return column is not None and drift.psi(column, column) is not None


def _drift(column: str, psi: float | None, bound: float, version: int) -> Breach:
    measured = (
        f"the distribution of '{column}' moved by {psi:.4g} since version {version}"
        if psi is not None
        else f"the distribution of '{column}' cannot be compared with that of version {version}"
    )
    return Breach(
        measure="drift", column=column, value=psi, bound=bound,
        message=f"{measured}; a population stability index of at most {bound:g} is allowed",
    )  # fmt: skip
