"""Completeness: what a collection can say for having brought everything, and what follows where it cannot.

The counts are kept with the version's sources. A source that declares a total and gives less has lost rows on the
way, or changed while it was read: a warning, or an error where that was asked for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from service.kit import errors
from service.steps.context import Context

Completeness = Literal["warn", "strict"]


@dataclass
class Evidence:
    """The counts of one collection. ``declared_total`` is what the source said last, if it did."""

    pages: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    rows: int = 0
    repeated_rows: int = 0
    declared_total: int | None = None
    stop_reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def settle(evidence: Evidence, ctx: Context, completeness: Completeness, field: str) -> None:
    """Keep the evidence, and warn of what it shows. Raises ``errors.Permanent`` for a shortfall where strict."""
    ctx.evidence |= evidence.as_dict()
    if evidence.repeated_rows:
        ctx.warn(
            "rows_repeated",
            f"{evidence.repeated_rows} rows came again on the next page: rows moved while they were read; "
            "an order by a field that never changes, or a cursor, prevents that",
            rows=evidence.repeated_rows,
        )  # fmt: skip
    total, rows = evidence.declared_total, evidence.rows
    if total is None or total == rows or evidence.stop_reason in ("max_pages", "sampled"):
        return
    text = f"the source says it has {total} records and gave {rows} (it ended because: {evidence.stop_reason})"
    if rows < total and completeness == "strict":
        raise errors.Permanent(f"{text}; completeness is strict", step=ctx.step, field=field)
    ctx.warn("total_differs", text, total=total, collected=rows)
