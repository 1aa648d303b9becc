"""The mode of a pipeline, from the settings of its storages: they may stand in any storage and hold for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from service.kit.errors import Problem
from service.steps.storage import Storage
from service.storages.versioned_storage import VersionedStorage
from service.values.version_mode import VersionMode

FIELDS: Final = ("mode", "key", "full", "on_delete", "partition_by", "cluster_by")


def shared(storages: Sequence[Storage], document: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the settings that some storage sets, by name; all other storages have the same."""
    found: dict[str, Any] = {}
    for storage, item in _versioned(storages, document):
        found |= {name: getattr(storage, name) for name in FIELDS if name in item and name not in found}
    return found


def mode_of(storages: Sequence[Storage], document: Mapping[str, Any]) -> VersionMode:
    """The mode of a valid configuration."""
    settings = shared(storages, document)
    partition = settings.get("partition_by") or {}
    return VersionMode(
        mode=settings.get("mode", "replace"), key=_names(settings.get("key")), full=settings.get("full", False),
        on_delete=settings.get("on_delete", "keep"), cluster_by=_names(settings.get("cluster_by")),
        partition_by=dict(partition) if isinstance(partition, dict) else dict.fromkeys(partition),
    )  # fmt: skip


def problems(storages: Sequence[Storage], document: Mapping[str, Any]) -> Iterable[Problem]:
    """Settings that differ between storages, or do not fit together."""
    first: dict[str, tuple[int, Any]] = {}
    places = {id(storage): place for place, storage in enumerate(storages)}
    for storage, item in _versioned(storages, document):
        place = places[id(storage)]
        for name in (name for name in FIELDS if name in item):
            before, value = first.setdefault(name, (place, getattr(storage, name)))
            if _plain(value) != _plain(getattr(storage, name)):
                yield Problem(
                    f"storage[{place}].{name}",
                    f"differs from storage[{before}].{name}; all storages of a pipeline have the same {name}",
                )
    mode = mode_of(storages, document)
    yield from _combinations(mode, {name: place for name, (place, _) in first.items()})
    for name in ("key", "partition_by", "cluster_by"):
        place, value = first.get(name, (0, None))
        columns = _names(value)
        for column in sorted({c for c in columns if columns.count(c) > 1}):
            yield Problem(f"storage[{place}].{name}", f"names '{column}' twice")
    for place, one in enumerate(storages):
        primary = _names(getattr(one, "primary_key", None))
        if mode.mode == "merge" and mode.key and primary and primary != mode.key:
            yield Problem(
                f"storage[{place}].primary_key",
                f"differs from key ({', '.join(mode.key)}), which is the primary key under merge; leave it out",
            )


def problems_of_incremental(storages: Sequence[Storage], document: Mapping[str, Any], field: str) -> Iterable[Problem]:
    """An incremental collector answers the rows of all its runs."""
    if mode_of(storages, document).mode == "append":
        yield Problem(
            field,
            "answers the rows of all runs, which the mode append would add again each time; take the mode replace, or "
            "merge with a key",
        )


def _combinations(mode: VersionMode, places: Mapping[str, int]) -> Iterable[Problem]:
    def at(name: str) -> str:
        return f"storage[{places.get(name, places.get('mode', 0))}].{name}"

    if mode.mode == "merge" and not mode.key:
        yield Problem(at("key"), "is required by the mode merge: the columns that identify a row")
    if mode.full and mode.mode != "merge":
        yield Problem(at("full"), f"belongs to the mode merge, not to {mode.mode}")
    if mode.on_delete == "remove" and mode.mode != "merge":
        yield Problem(at("on_delete"), f"belongs to the mode merge, not to {mode.mode}")
    elif mode.on_delete == "remove" and not mode.full:
        yield Problem(at("on_delete"), "remove needs full: true, which says that each run has all rows")


def _versioned(
    storages: Sequence[Storage], document: Mapping[str, Any]
) -> Iterable[tuple[VersionedStorage, Mapping[str, Any]]]:
    items = document.get("storage")
    if not isinstance(items, list) or len(items) != len(storages):
        return
    for storage, item in zip(storages, items, strict=True):
        if isinstance(storage, VersionedStorage) and isinstance(item, Mapping):
            yield storage, item


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _plain(value: Any) -> Any:
    return [value] if isinstance(value, str) else value
