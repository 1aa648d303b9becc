"""``penstock verify`` over an object store: its objects are compared with the catalog, and lost versions adopted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.catalog.history import History
from service.files.layout import MANIFEST
from service.files.object_store import DamagedObject, NoObject, ObjectStore, Stored
from service.model.version import Version
from service.runs import manifest, version_objects
from service.runs.manifest import Manifest
from service.runs.store_upkeep import ATTEMPT
from service.runs.version_objects import COMMITTED
from service.steps.storage import File


@dataclass(frozen=True)
class StoreCheck:
    """One look at an object store: ``there`` are the objects that it had then, by key."""

    store: ObjectStore
    there: Mapping[str, Stored]

    @classmethod
    def of(cls, store: ObjectStore) -> StoreCheck:
        """A look at the store as it is now. Raises ``errors.Unavailable``."""
        return cls(store, {one.key: one for one in store.list()})

    def has(self, version: Version) -> bool:
        """Whether the manifest of a version is there; one of a deleted pipeline is purged without it."""
        return f"{version.objects}/{MANIFEST}" in self.there

    def faults(
        self,
        version: Version,
        go_on: Callable[[], None],
        *,
        deep: bool,
        is_here: Callable[[File], bool] = lambda _: False,
    ) -> Iterator[str]:
        """What is wrong with the objects of a version; with ``deep`` each of them is read.

        An object that is missing counts as there if its file ``is_here``: the upkeep writes it. ``go_on`` is called
        before each object and each block of one.
        """
        for file in version.all_files:
            go_on()
            if file.key is None:
                continue
            stored = self.there.get(file.key)
            if stored is None and is_here(file):
                continue
            if stored is None:
                yield f"the object store has no '{file.key}'"
            elif stored.bytes != file.bytes:
                yield f"the object '{file.key}' has {stored.bytes} bytes instead of {file.bytes}"
            elif deep:
                try:
                    self.store.checksum(file.key, file.bytes, file.sha256, go_on)
                except (DamagedObject, NoObject) as error:
                    yield f"the object '{file.key}' is not as it was written: {error}"
        name = f"{version.objects}/{MANIFEST}"
        if not self.has(version) and all(map(is_here, version.all_files)):
            return
        if not self.has(version):
            yield f"the object store has no '{name}'; readers do not use it"
        elif deep and not manifest.describes(self.manifest(version.objects or ""), version):
            yield f"the object '{name}' is not the manifest of this version; readers do not use it"

    def unknown(self, history: History) -> list[str]:
        """How the keys of attempts begin of which the catalog knows neither the run nor a version."""
        found = {match["prefix"]: match["run"] for key in self.there if (match := ATTEMPT.match(key)) is not None}
        strange = {p for p, run in found.items() if history.status(run) is None and not history.was_deleted(run)}
        named = {key for committed in history.committed() for key in version_objects.named_by(committed.version)}
        return sorted(strange - {match["prefix"] for key in named if (match := ATTEMPT.match(key)) is not None})

    def manifest(self, prefix: str) -> Manifest | None:
        """The manifest of an attempt; None if there is none that can be read."""
        try:
            return manifest.decoded(self.store.read(f"{prefix}/{MANIFEST}")[0])
        except NoObject:
            return None

    def candidates(self, history: History) -> list[tuple[str, Manifest]]:
        """The attempts that can be adopted, by pipeline and version.

        Several attempts may have been at the same version, of which one was committed: the one with the mark, else the
        last one.
        """

        def order(prefix: str) -> tuple[bool, datetime]:
            return f"{prefix}/{COMMITTED}" in self.there, self.there[f"{prefix}/{MANIFEST}"].modified

        chosen: dict[tuple[str, int], tuple[str, Manifest]] = {}
        for prefix in sorted((p for p in self.unknown(history) if f"{p}/{MANIFEST}" in self.there), key=order):
            found = self.manifest(prefix)
            if found is not None and found.objects == prefix:
                chosen[found.pipeline, found.version] = prefix, found
        return [chosen[key] for key in sorted(chosen)]
