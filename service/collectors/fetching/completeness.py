"""Evidence that a collection is complete: its counts, and a warning or an error if the source declares more rows.

The counts are stored with the version's sources. A source that declares a total and sends fewer rows has lost some, or
changed during the collection: a warning, or an error if ``completeness`` is ``strict``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from service.kit import errors
from service.steps.context import CollectContext

Completeness = Literal["warn", "strict"]

FAILED = "failed"
EMPTY_PAGES = "empty_pages"
_CUT = ("max_pages", "repeated_page", "sampled", EMPTY_PAGES, FAILED)


@dataclass
class Evidence:
    """The counts of one collection. ``declared_total`` is the last total that the source declared, if any.

    ``extras`` are kept beside them if there are any: ``more_pages`` (how the source says that there is more),
    ``end_status`` and ``end_message`` (of the answer past the end), ``pages_without_records`` and the like.
    """

    pages: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    rows: int = 0
    repeated_rows: int = 0
    declared_total: int | None = None
    stop_reason: str = ""
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """The evidence as it is stored."""
        found: dict[str, Any] = asdict(self)
        extras: dict[str, Any] = found.pop("extras")
        return found | extras

    @property
    def sent(self) -> int:
        """The number of records that the source sent, with malformed ones that are left out."""
        return self.rows + int(self.extras.get("malformed_rows", 0))

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count of ``extras``."""
        self.extras[name] = self.extras.get(name, 0) + number


class EvidenceTotal:
    """The evidence of all record lists of one collection. ``cut`` holds the keys of lists not read to the end."""

    def __init__(self, ctx: CollectContext, completeness: Completeness) -> None:
        self._ctx, self._strict = ctx, completeness == "strict"
        self._reasons: Counter[str] = Counter()
        self._differing: list[tuple[str, int, int]] = []
        self._undeclared = 0
        self._more: list[tuple[str, str]] = []
        self.evidence = Evidence()
        self.cut: set[str] = set()

    def add(self, one: Evidence, key: str = "", label: str = "") -> None:
        """Add the evidence of a list; ``label`` names it in messages. Raises ``errors.Permanent`` if it is short and
        completeness is strict."""
        whole = self.evidence
        whole.pages += one.pages
        whole.rows += one.rows
        whole.repeated_rows += one.repeated_rows
        for name, value in one.extras.items():
            same = isinstance(value, int) and name in whole.extras and name != "end_status"
            whole.extras[name] = whole.extras[name] + value if same else whole.extras.get(name, value)
        self._reasons[one.stop_reason] += 1
        if one.stop_reason in _CUT:
            self.cut.add(key)
        self._add_doubts(one, key, label)
        if one.declared_total is None:
            self._undeclared += one.sent
            return
        whole.declared_total = (whole.declared_total or 0) + one.declared_total
        if one.declared_total == one.sent or one.stop_reason in ("max_pages", "sampled", FAILED):
            return
        self._differing.append((label, one.declared_total, one.sent))
        if one.sent < one.declared_total:
            self.cut.add(key)
            if self._strict:
                text = f"{self._text(label, one.declared_total, one.sent, one.stop_reason)}; completeness is strict"
                raise errors.Permanent(text, step=self._ctx.step, field="completeness")

    def _add_doubts(self, one: Evidence, key: str, label: str) -> None:
        """Note that the source says there is more than was read. Raises ``errors.Permanent`` if strict."""
        of = f" of {label}" if label else ""
        code, text, name = "more_pages", "", "pagination"
        if one.stop_reason == EMPTY_PAGES:
            code, name = "empty_pages", "pagination.max_empty_pages"
            text = f"the last pages{of} have no records, and the source names more"
        elif "more_pages" in one.extras:
            text = f"the source says that there is more{of}: {one.extras['more_pages']}"
        elif "no_records_at" in one.extras and not one.rows:
            code, name = "no_records_key", "records_path"
            text = f"the first page{of} has nothing at '{one.extras['no_records_at']}', which is read as no records"
        if text:
            self.cut.add(key)
            self._more.append((code, text))
            if self._strict:
                raise errors.Permanent(
                    f"{text} (stop reason: {one.stop_reason}); completeness is strict", step=self._ctx.step, field=name
                )

    def failed(self) -> None:
        """Keep the evidence up to the failure."""
        self._ctx.add_evidence(self.evidence.summary | {"stop_reason": FAILED})

    def finish(self, *, several: bool) -> None:
        """Keep the evidence and add its warnings. ``several``: there may be more than one list."""
        whole, ctx, reasons = self.evidence, self._ctx, self._reasons
        if whole.declared_total is not None:
            whole.declared_total += self._undeclared
        whole.stop_reason = next(iter(reasons)) if len(reasons) == 1 else "several" if reasons else "no_parents"
        ctx.add_evidence(whole.summary | ({"stop_reasons": dict(reasons)} if several else {}))
        if self._more:
            several_lists = f" (and so for {len(self._more) - 1} more lists)" if len(self._more) > 1 else ""
            hint = "; set pagination to fetch it" if whole.stop_reason == "single_page" else ""
            code, first = self._more[0]
            text = f"{first}{several_lists}; {whole.rows} records were read (stop reason: {whole.stop_reason})"
            ctx.warn(code, text + hint, lists=len(self._more), collected=whole.rows)
        if whole.repeated_rows:
            ctx.warn(
                "rows_repeated",
                f"{whole.repeated_rows} rows were repeated on the next page: rows moved during the collection; "
                "sorting by a field that never changes, or a cursor, prevents that",
                rows=whole.repeated_rows,
            )  # fmt: skip
        if reasons["missing"]:
            ctx.warn("list_missing", f"{reasons['missing']} parents have no list of records and are skipped")
        if self._differing:
            label, total, rows = self._differing[0]
            more = f" (and {len(self._differing) - 1} more lists differ)" if len(self._differing) > 1 else ""
            text = self._text(label, total, rows, whole.stop_reason) + more
            ctx.warn("total_differs", text, total=whole.declared_total, collected=whole.rows)

    @staticmethod
    def _text(label: str, total: int, rows: int, reason: str) -> str:
        of = f" of {label}" if label else ""
        return f"the source declares {total} records{of} and sent {rows} (stop reason: {reason})"
