"""The keys of a version's objects, which its row gets if its files went to an object store after the commit."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.catalog import version_rows
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction
from service.model.version import Version
from service.steps.storage import File

_FIND = load_sql("versions")["find"]


def note(store: Store, pipeline_id: str, version: Version, objects: str, keys: Mapping[File, str]) -> None:
    """Store the keys of files of a version, by the files as the catalog has them; others stay as they are."""

    def keyed(file: File) -> File:
        return msgspec.structs.replace(file, key=keys.get(file, file.key))

    def work(transaction: Transaction) -> None:
        row = transaction.row(_FIND, {"pipeline_id": pipeline_id, "version": version.version})
        found = version_rows.read(row["value"]) if row is not None else None
        if found is not None and found.run_id == version.run_id:
            version_rows.update(transaction, pipeline_id, msgspec.structs.replace(found.each(keyed), objects=objects))

    store.write(work)
