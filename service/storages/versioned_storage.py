"""The settings that say how a run's rows become the next version; every built-in storage has them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from service.steps.storage import Storage
from service.values.version_mode import Mode, OnDelete, PartitionUnit

Columns = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)]


class VersionedStorage(Storage, frozen=True, kw_only=True):
    """Base of the storages whose settings say how a run's rows become the next version.

    The settings may stand in any storage of a pipeline and hold for all of them (``model.pipeline``).
    """

    mode: Annotated[
        Mode,
        msgspec.Meta(
            description="replace: the rows of the run are the version. append: they follow the rows of the version "
            "before. merge: rows with a known key take the place of the earlier ones, others follow."
        ),
    ] = "replace"
    key: Annotated[str | Columns | None, msgspec.Meta(description="Columns that identify a row; merge needs them.")] = (
        None
    )
    full: Annotated[bool, msgspec.Meta(description="merge: each run has all rows, not only changed ones.")] = False
    on_delete: Annotated[
        OnDelete, msgspec.Meta(description="merge with full: whether rows whose key the run does not have are removed.")
    ] = "keep"
    partition_by: Annotated[
        Columns | Annotated[dict[str, PartitionUnit], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Columns whose values name folders, or {column: year, month or day}; rows are in their order.",
            examples=[["country"], {"created": "month"}],
        ),
    ] = None
    cluster_by: Annotated[
        str | Columns | None, msgspec.Meta(description="Columns by which rows are sorted, inside a partition.")
    ] = None
