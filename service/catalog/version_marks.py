"""Pins and tags of versions, and the deletion of a version that neither marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.kit import errors
from service.model.version import Marks, Version

_SQL = load_sql("version_marks")


class VersionMarks:
    """The marks of versions in the catalog. Methods block; the API calls them in threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def stamp(self, pipeline_id: str) -> int:
        """A number that stays the same as long as the versions of a pipeline and their marks do."""
        return self._store.stamp(("versions", "version_pins", "version_tags"), pipeline_id)

    def pin(self, pipeline_id: str, version: Version) -> None:
        """Pin a version; again changes nothing. Raises ``errors.Missing`` (VERSION_NOT_FOUND)."""

        def work(transaction: Transaction) -> None:
            _require(transaction, pipeline_id, version)
            transaction.execute(_SQL["pin"], {"pipeline_id": pipeline_id, "version": version.version})

        self._store.write(work)

    def unpin(self, pipeline_id: str, version: Version) -> None:
        """Remove the pin of a version, if it has one."""
        key = {"pipeline_id": pipeline_id, "version": version.version}
        self._store.write(lambda transaction: transaction.execute(_SQL["unpin"], key), urgent=True)

    def tag(self, pipeline_id: str, version: Version, tag: str) -> None:
        """Let a tag name this version, and no other. Raises ``errors.Missing`` (VERSION_NOT_FOUND)."""

        def work(transaction: Transaction) -> None:
            _require(transaction, pipeline_id, version)
            transaction.execute(_SQL["tag"], {"pipeline_id": pipeline_id, "version": version.version, "tag": tag})

        self._store.write(work)

    def untag(self, pipeline_id: str, name: str, tag: str) -> None:
        """Remove a tag. Raises ``errors.Missing`` (NOT_FOUND) if the pipeline ``name`` does not have it."""
        key = {"pipeline_id": pipeline_id, "tag": tag}

        def work(transaction: Transaction) -> None:
            if transaction.row(_SQL["tagged"], key) is None:
                raise errors.Missing(f"the pipeline '{name}' has no tag '{tag}'", code="NOT_FOUND", field="tag")
            transaction.execute(_SQL["untag"], key)

        self._store.write(work, urgent=True)

    def of(self, pipeline_id: str) -> Mapping[int, Marks]:
        """The marks of the versions of a pipeline that have any, by number."""
        key = {"pipeline_id": pipeline_id}
        pins = {int(row["version"]) for row in self._store.rows(_SQL["pins"], key)}
        tags: dict[int, list[str]] = {}
        for row in self._store.rows(_SQL["tags"], key):
            tags.setdefault(int(row["version"]), []).append(row["tag"])
        return {n: Marks(pinned=n in pins, tags=tags.get(n, [])) for n in {*pins, *tags}}

    def delete(self, pipeline_id: str, version: Version, now: datetime) -> None:
        """As ``delete_all`` of one version. Raises the reason why it was left."""
        for refusal in self.delete_all(pipeline_id, [version], now).values():
            raise refusal

    def delete_all(
        self, pipeline_id: str, versions: Sequence[Version], now: datetime
    ) -> dict[int, errors.PenstockError]:
        """Remove versions from the catalog, which remembers that it did: a start then removes their folders.

        Returns why some were left, by number: ``errors.Missing`` (VERSION_NOT_FOUND), ``errors.Conflict``
        (VERSION_IN_USE) if the version is the newest, pinned, tagged, or named by its number in a configuration, or if
        it was held when it was read and has been accepted since.
        """

        def work(transaction: Transaction) -> dict[int, errors.PenstockError]:
            refused = _refusals(transaction, pipeline_id, versions)
            gone = [version.version for version in versions if version.version not in refused]
            if gone:
                key = {"pipeline_id": pipeline_id, "versions": gone}
                transaction.execute(_SQL["remember"], {**key, "deleted": naive(now)})
                transaction.execute(_SQL["delete"], key)
            return refused

        return self._store.write(work, urgent=True)


def _refusals(
    transaction: Transaction, pipeline_id: str, versions: Sequence[Version]
) -> dict[int, errors.PenstockError]:
    """Why versions of a pipeline must stay, by number."""
    of = {"pipeline_id": pipeline_id}
    key = {**of, "versions": [version.version for version in versions]}
    held = {row["version"]: row["held"] for row in transaction.rows(_SQL["held"], key)}
    newest = transaction.row(_SQL["newest"], of)
    pins = {row["version"] for row in transaction.rows(_SQL["pins"], of)}
    tags = {row["version"]: row["tag"] for row in reversed(transaction.rows(_SQL["tags"], of))}
    named = transaction.rows(_SQL["named_by"], {**key, "name": versions[0].pipeline})
    readers = {int(row["version"]): row["name"] for row in reversed(named)}

    def refusal(version: Version) -> errors.PenstockError | None:
        number = version.version
        if number not in held:
            return _gone(version)
        if held[number] != version.held:
            return in_use(version, "it was accepted meanwhile")
        if newest is not None and newest["version"] == number:
            return in_use(version, "it is the newest version")
        if number in pins:
            return in_use(version, "it is pinned; remove the pin first")
        if number in tags:
            return in_use(version, f"the tag '{tags[number]}' names it; move or remove the tag first")
        if number in readers:
            return in_use(version, f"the configuration of '{readers[number]}' reads it by its number")
        return None

    found = ((version.version, refusal(version)) for version in versions)
    return {number: error for number, error in found if error is not None}


def tagged(store: Store, pipeline_id: str, name: str, tag: str, field: str = "version") -> int:
    """The number of the version that a tag of the pipeline ``name`` names; ``field`` is where it was given. Blocks.

    Raises ``errors.Missing`` (VERSION_NOT_FOUND).
    """
    row = store.row(_SQL["tagged"], {"pipeline_id": pipeline_id, "tag": tag})
    if row is None:
        raise errors.Missing(
            f"the pipeline '{name}' has no version with the tag '{tag}'", code="VERSION_NOT_FOUND", field=field
        )
    return int(row["version"])


def in_use(version: Version, why: str) -> errors.Conflict:
    """The error of a version that cannot be deleted."""
    return errors.Conflict(
        f"version {version.version} of '{version.pipeline}' cannot be deleted: {why}", code="VERSION_IN_USE",
        field="version",
    )  # fmt: skip


def _require(transaction: Transaction, pipeline_id: str, version: Version) -> None:
    """Raise ``errors.Missing`` if a version was deleted since it was read."""
    if not transaction.rows(_SQL["held"], {"pipeline_id": pipeline_id, "versions": [version.version]}):
        raise _gone(version)


def _gone(version: Version) -> errors.Missing:
    return errors.Missing(
        f"the pipeline '{version.pipeline}' has no version {version.version}", code="VERSION_NOT_FOUND",
        field="version",
    )  # fmt: skip
