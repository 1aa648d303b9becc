"""Version: the immutable dataset that a successful run committed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.steps.report import Evidence, FittedStep
from service.steps.storage import File
from service.values.profile import Profile


class Column(msgspec.Struct, frozen=True):
    """A column of a version: its name and its Polars type as text."""

    name: str
    type: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector delivered to a version; ``evidence`` shows how complete it is.

    ``columns`` are those that it delivered, with their types as configurations name them.
    """

    id: str
    type: str
    rows: int
    evidence: Evidence = {}
    columns: list[Column] = []


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the quarantined rows broke a rule of a step; ``column`` is null where it looks at none."""

    step: str
    rule: str
    column: str | None
    rows: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A committed version. ``files`` are its Parquet parts; ``native`` the DuckDB file once it is there.

    ``quarantine`` are Parquet files of rows that were refused, in the layout of ``files.quarantine``;
    ``refusals`` says why they are there, ``quarantine_columns`` what they look like as one table. ``replay_of`` is
    the version whose quarantined rows were tried again to make this one. ``fit_record`` is the file by which its steps
    can be applied to other rows; versions of early releases have none. ``state`` are the files that its collectors
    keep for the next version.
    """

    pipeline: str
    version: int
    run_id: str
    revision: int
    table: str
    rows: int
    bytes: int
    columns: list[Column]
    files: list[File]
    sources: list[Source]
    created: datetime
    native: File | None = None
    wants_native: bool = False
    profiles: list[Profile] = []
    fitted: dict[str, FittedStep] = {}
    quarantine: list[File] = []
    fit_record: File | None = msgspec.field(default=None, name="tape")
    state: list[File] = []
    refusals: list[Refusal] = []
    quarantine_columns: list[Column] = []
    replay_of: int | None = None

    @property
    def quarantined(self) -> int:
        """How many rows are in quarantine."""
        return sum(file.rows for file in self.quarantine)


class SchemaChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a column differs from the version before. ``change`` is added, removed or retyped."""

    column: str
    change: str
    before: str | None = None
    after: str | None = None


def changes(before: list[Column], after: list[Column]) -> list[SchemaChange]:
    """The columns that differ between two schemas, in the order of ``after``, removed ones last."""
    old, new = {c.name: c.type for c in before}, {c.name: c.type for c in after}
    found = [SchemaChange(column=n, change="added", after=t) for n, t in new.items() if n not in old]
    found += [
        SchemaChange(column=n, change="retyped", before=old[n], after=t)
        for n, t in new.items()
        if n in old and old[n] != t
    ]
    return found + [SchemaChange(column=n, change="removed", before=t) for n, t in old.items() if n not in new]
