"""The question what differs between two versions: which key matches their rows, and which parts need not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.files.layout import Layout
from service.jobs.messages import StoredParts
from service.jobs.tasks.task import ComparedVersion, Comparing
from service.kit import errors
from service.model.version import Version

MOST_ROWS = 1000
"""The most rows of each kind that an answer shows."""
SECONDS = 600.0
"""How long a comparison may take."""


def key_columns(text: str) -> list[str]:
    """The columns in ``a,b``. Raises ``errors.Invalid`` for an empty name or one that is there twice."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not name:
            raise errors.Invalid("key: columns separated by commas, as in key=a,b", field="key")
        if names.count(name) > 1:
            raise errors.Invalid(f"key: names '{name}' twice", field="key", column=name)
    return names


def primary_key(document: Mapping[str, Any]) -> list[str]:
    """The ``primary_key`` of the storages of a configuration, else their ``key``, else nothing."""
    return _named(document, "primary_key") or _named(document, "key")


def comparing(
    layout: Layout,
    before: Version,
    after: Version,
    documents: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    key: Sequence[str] | None,
    limit: int,
) -> Comparing:
    """The task that compares two versions, which the configurations in ``documents`` made.

    Without a ``key``, that of the later configuration is taken if both versions have its columns. Parts that both have
    are left out if their rows cannot match any other: without a key, or if storages made sure that keys are unique.
    """
    columns = {c.name for c in before.columns} & {c.name for c in after.columns}
    declared = primary_key(documents[1])
    wanted = list(key) if key is not None else declared if columns.issuperset(declared) else []
    unique = all(set(wanted) >= set(names) for names in map(_enforced_key, documents)) and bool(wanted)
    unique = unique and all(_enforced_key(document) for document in documents)
    files = [Counter((f.sha256, f.bytes, f.rows) for f in version.files if f.sha256) for version in (before, after)]
    shared = files[0] & files[1] if unique or not wanted else Counter()
    own_before, _ = _divided(layout, before, Counter(shared))
    own_after, both = _divided(layout, after, Counter(shared))
    return Comparing(
        pipeline=after.pipeline,
        before=ComparedVersion(version=before.version, parts=own_before, profiles=before.profiles),
        after=ComparedVersion(version=after.version, parts=own_after, profiles=after.profiles),
        shared=both, key=tuple(wanted), unique=unique, limit=limit,
    )  # fmt: skip


def readable(task: Comparing) -> dict[str, StoredParts]:
    """The files that the task may read."""
    return {"versions": StoredParts(pipeline=task.pipeline, version=task.after.version, parts=task.paths, rows=0)}


def _divided(layout: Layout, version: Version, shared: Counter[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the parts that only this version has, and of those in ``shared``."""
    folder = layout.version(version.pipeline, version.version)
    own: list[str] = []
    both: list[str] = []
    for file in version.files:
        content = (file.sha256, file.bytes, file.rows)
        (both if shared[content] else own).append(str(folder / file.name))
        shared[content] -= 1
    return tuple(own), tuple(both)


def _enforced_key(document: Mapping[str, Any]) -> list[str]:
    """The key of which storages refuse or replace a second row."""
    merges = any(item.get("mode") == "merge" for item in _storages(document))
    return _named(document, "primary_key") or (_named(document, "key") if merges else [])


def _named(document: Mapping[str, Any], setting: str) -> list[str]:
    for item in _storages(document):
        value = item.get(setting)
        if value:
            return [value] if isinstance(value, str) else list(value)
    return []


def _storages(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in document.get("storage") or [] if isinstance(item, Mapping)]
