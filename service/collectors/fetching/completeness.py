"""Completeness: what a collection can say for having brought everything, and what follows where it cannot.

The counts are kept with the version's sources. A source that declares a total and gives less has lost rows on the
way, or changed while it was read: a warning, or an error where that was asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Literal

from service.kit import errors
from service.steps.context import CollectContext

Completeness = Literal["warn", "strict"]

FAILED = "failed"
_CUT = ("max_pages", "repeated_page", "sampled", FAILED)


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


class EvidenceTotal:
    """The evidence of one collection, of all its lists of records together. ``cut`` names those not read to the end."""

    def __init__(self, ctx: CollectContext, completeness: Completeness) -> None:
        self._ctx, self._strict = ctx, completeness == "strict"
        self._reasons: Counter[str] = Counter()
        self._differing: list[tuple[str, int, int]] = []
        self._undeclared = 0
        self.evidence = Evidence()
        self.cut: set[str] = set()

    def add(self, one: Evidence, key: str = "", said: str = "") -> None:
        """A list was read. ``said`` names it in messages. Raises ``errors.Permanent`` for a shortfall where strict."""
        whole = self.evidence
        whole.pages += one.pages
        whole.rows += one.rows
        whole.repeated_rows += one.repeated_rows
        self._reasons[one.stop_reason] += 1
        if one.stop_reason in _CUT:
            self.cut.add(key)
        if one.declared_total is None:
            self._undeclared += one.rows
            return
        whole.declared_total = (whole.declared_total or 0) + one.declared_total
        if one.declared_total == one.rows or one.stop_reason in ("max_pages", "sampled", FAILED):
            return
        self._differing.append((said, one.declared_total, one.rows))
        if one.rows < one.declared_total:
            self.cut.add(key)
            if self._strict:
                text = f"{self._text(said, one.declared_total, one.rows, one.stop_reason)}; completeness is strict"
                raise errors.Permanent(text, step=self._ctx.step, field="completeness")

    def failed(self) -> None:
        """Keep the evidence of what came until then."""
        self._ctx.add_evidence(asdict(self.evidence) | {"stop_reason": FAILED})

    def finish(self, *, several: bool) -> None:
        """Keep the evidence, and warn of what it shows. ``several`` says that there may be more than one list."""
        whole, ctx, reasons = self.evidence, self._ctx, self._reasons
        if whole.declared_total is not None:
            whole.declared_total += self._undeclared
        whole.stop_reason = next(iter(reasons)) if len(reasons) == 1 else "several" if reasons else "no_parents"
        ctx.add_evidence(asdict(whole) | ({"stop_reasons": dict(reasons)} if several else {}))
        if whole.repeated_rows:
            ctx.warn(
                "rows_repeated",
                f"{whole.repeated_rows} rows came again on the next page: rows moved while they were read; "
                "an order by a field that never changes, or a cursor, prevents that",
                rows=whole.repeated_rows,
            )  # fmt: skip
        if reasons["missing"]:
            ctx.warn("list_missing", f"parents without a list of records: {reasons['missing']}; they are left out")
        if self._differing:
            said, total, rows = self._differing[0]
            more = f" (and so for {len(self._differing) - 1} more)" if len(self._differing) > 1 else ""
            text = self._text(said, total, rows, whole.stop_reason) + more
            ctx.warn("total_differs", text, total=whole.declared_total, collected=whole.rows)

    @staticmethod
    def _text(said: str, total: int, rows: int, reason: str) -> str:
        of = f" of {said}" if said else ""
        return f"the source says it has {total} records{of} and gave {rows} (it ended because: {reason})"
