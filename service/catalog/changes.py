"""What changed in the installation between two looks: the pipelines that are other ones, and in what.

It is found by comparing, so that nobody who writes has to tell, whichever process or release it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store
from service.model.rights import Visibility

_SQL = load_sql("changes")
TABLES = ("pipelines", "schedules", "runs", "versions")
"""The tables that a state is read from."""

Part = Literal["pipeline", "schedule", "runs", "versions"]
_COLUMNS: Mapping[Part, tuple[str, ...]] = {
    "pipeline": ("id", "revision", "owner", "visibility"), "schedule": ("paused", "handled"),
    "runs": ("run_id", "status", "waiting_for"), "versions": ("newest", "total", "held"),
}  # fmt: skip


Audience = tuple[str | None, Visibility]
"""The owner and the visibility of a pipeline: who sees it."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that changed, the parts of it that did, and its newest run as it is now."""

    pipeline: str
    changed: list[Part]
    deleted: bool = False
    run_id: str | None = None
    status: str | None = None


class State(NamedTuple):
    """The pipelines as they were at ``stamp``, by name."""

    stamp: int
    pipelines: dict[str, Row]


def stamp(store: Store) -> int:
    """A number that stays the same while nothing changes; with PostgreSQL it may be another one without a reason."""
    return store.stamp(TABLES)


def state(store: Store) -> State:
    """The present state. Blocks."""
    before = stamp(store)  # what changes while it is read is looked at again
    return State(before, {row["name"]: row for row in store.rows(_SQL["states"])})


def between(old: State, new: State) -> list[Change]:
    """What changed from one state to another."""
    found = []
    for name, row in new.pipelines.items():
        before = old.pipelines.get(name)
        changed = [part for part in get_args(Part) if before is None or _differs(part, before, row)]
        if changed:
            found.append(Change(pipeline=name, changed=changed, run_id=row["run_id"], status=row["status"]))
    gone = old.pipelines.keys() - new.pipelines.keys()
    return found + [Change(pipeline=name, changed=["pipeline"], deleted=True) for name in sorted(gone)]


def audiences(old: State, new: State, name: str) -> set[Audience]:
    """Who saw a pipeline in one state or the other."""
    rows = [row for state in (old, new) if (row := state.pipelines.get(name)) is not None]
    return {(row["owner"], row["visibility"]) for row in rows}


def _differs(part: Part, before: Row, after: Row) -> bool:
    return any(before[column] != after[column] for column in _COLUMNS[part])
