"""A version: the immutable dataset that a successful run committed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from service.model.breach import Breach
from service.steps.report import Evidence, FittedStep
from service.steps.storage import File
from service.values import polars_names
from service.values.profile import Profile
from service.values.version_mode import Layout


class Column(msgspec.Struct, frozen=True):
    """A column of a version: its name and its Polars type as text; answers have the type's name in configurations."""

    name: str
    type: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What one collector contributed to a version; ``evidence`` is its evidence that the rows are complete.

    ``columns`` are its columns, with types by the names that configurations use.
    """

    id: str
    type: str
    rows: int
    evidence: Evidence = {}
    columns: list[Column] = []


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The number of quarantined rows that broke a rule of a step; ``column`` is null if the rule names no column."""

    step: str
    rule: str
    column: str | None
    rows: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A committed version. ``files`` are its Parquet parts; ``native`` the DuckDB file once it is there.

    ``quarantine`` are files of quarantined rows, in the layout of ``files.quarantine``; ``refusals`` counts them by
    rule, ``quarantine_columns`` are their columns as one table. ``replay_of`` is the version whose quarantined rows
    were replayed to make this one, ``restored_from`` the one whose rows this one has again. ``fit_record`` is the
    file with which the steps can be applied to other rows; versions of older releases have none. ``state`` are the
    files of its collectors' incremental state. ``layout`` is how the parts are arranged.

    A ``held`` version waits to be accepted or rejected; ``held_because`` stays when it was accepted. ``continues`` is
    the version whose rows it has, too (append, merge, replay). ``objects`` is how the keys of its own objects begin, if
    an object store has it.
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
    layout: Layout = Layout()
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
    restored_from: int | None = None
    held: bool = False
    held_because: list[Breach] = []
    continues: int | None = None
    objects: str | None = None

    @property
    def base_files(self) -> list[File]:
        """All files of the version without its native file, which can be derived again."""
        record = [self.fit_record] if self.fit_record is not None else []
        return [*self.files, *self.quarantine, *record, *self.state]

    @property
    def all_files(self) -> list[File]:
        """All files of the version."""
        return [*self.base_files, *([self.native] if self.native is not None else [])]

    @property
    def lacks_native(self) -> bool:
        """Whether the version is to have a native file and has none."""
        return self.wants_native and self.native is None

    def each(self, change: Callable[[File], File]) -> Version:
        """The version with each of its files changed."""
        return msgspec.structs.replace(
            self, files=[change(f) for f in self.files], quarantine=[change(f) for f in self.quarantine],
            state=[change(f) for f in self.state],
            fit_record=change(self.fit_record) if self.fit_record is not None else None,
            native=change(self.native) if self.native is not None else None,
        )  # fmt: skip

    @property
    def quarantined(self) -> int:
        """How many rows are in quarantine."""
        return sum(file.rows for file in self.quarantine)


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What users marked a version with: neither a pinned version nor one with tags is deleted."""

    pinned: bool = False
    tags: list[str] = []


class SchemaChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a column differs from the version before. ``change`` is added, removed or retyped."""

    column: str
    change: str
    before: str | None = None
    after: str | None = None


def named_types(columns: list[Column]) -> list[Column]:
    """The columns with their types by the names that configurations use (``int64``)."""
    return [Column(column.name, polars_names.configured(column.type)) for column in columns]


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
