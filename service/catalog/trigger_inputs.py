"""The versions of upstream pipelines that each pipeline with a trigger has seen.

A run notes the newest versions of its upstreams in the transaction that stores it; a trigger is ready when each of them
has a newer one. Before its first run a pipeline has seen what its upstreams had when the trigger was configured: saving
a configuration executes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.kit import errors
from service.kit.errors import Problem
from service.model import trigger
from service.model.run import Run
from service.model.trigger import TriggerState

_SQL = load_sql("trigger_inputs")


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with a trigger, and the state of the trigger."""

    pipeline_id: str
    name: str
    state: TriggerState


class TriggerInputs:
    """The triggers in the catalog. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, name: str, document: Mapping[str, Any]) -> None:
        """Refuse unknown upstreams and cycles. Raises ``errors.Invalid``."""
        if upstreams(document):
            with self._store.transaction() as transaction:
                _check(transaction, name, document)

    def all(self) -> list[Triggered]:
        """All pipelines with a trigger, by name."""
        edges = self._store.rows(_SQL["edges"])
        if not edges:
            return []
        names = sorted({upstream for edge in edges for upstream in edge["after"]})
        newest = {r["name"]: r for r in self._store.rows(_SQL["newest"], {"names": names})}
        seen = {(r["pipeline_id"], r["upstream_id"]): r["version"] for r in self._store.rows(_SQL["seen"])}
        return [Triggered(pipeline_id=e["id"], name=e["name"], state=_state(e, newest, seen)) for e in edges]

    def state(self, pipeline_id: str, document: Mapping[str, Any]) -> TriggerState | None:
        """The state of the trigger of a pipeline with that configuration; None if it has none."""
        names = upstreams(document)
        if not names:
            return None
        found = self._store.rows(_SQL["committed"], {"pipeline_id": pipeline_id, "names": names})
        committed = {row["name"] for row in found}
        return TriggerState(
            committed=[name for name in names if name in committed],
            awaited=[name for name in names if name not in committed],
        )


def upstreams(document: Mapping[str, Any]) -> list[str]:
    """The pipelines after which the pipeline of ``document`` runs."""
    value = document.get("trigger")
    return list(value["after"]) if isinstance(value, Mapping) else []


def configure(transaction: Transaction, pipeline_id: str, name: str, document: Mapping[str, Any]) -> None:
    """Check and note the trigger of a new revision of a pipeline. Part of the transaction that stores it.

    Raises ``errors.Invalid``.
    """
    _check(transaction, name, document)
    rows = _newest(transaction, document)
    transaction.execute(_SQL["forget"], {"pipeline_id": pipeline_id, "upstreams": [row["id"] for row in rows]})
    for row in rows:
        _put(transaction, "insert", pipeline_id, row)


def note_run(transaction: Transaction, pipeline_id: str, document: Mapping[str, Any], _: Run) -> None:
    """Note the newest versions of the upstreams. Part of the transaction that stores a run."""
    for row in _newest(transaction, document):
        _put(transaction, "put", pipeline_id, row)


def refuse_delete(transaction: Transaction, name: str) -> None:
    """Raises ``errors.Conflict`` if other pipelines run after ``name``."""
    others = [edge["name"] for edge in transaction.rows(_SQL["edges"]) if name in edge["after"]]
    if others:
        listed = ", ".join(f"'{other}'" for other in others)
        raise errors.Conflict(
            f"{listed} would wait for ever: 'trigger.after' names '{name}'; change or delete that first",
            pipelines=others,
        )


def _check(transaction: Transaction, name: str, document: Mapping[str, Any]) -> None:
    after = upstreams(document)
    if not after:
        return
    known = {row["name"] for row in transaction.rows(_SQL["names"])}
    problems = [
        Problem(
            f"trigger.after[{place}]",
            f"there is no pipeline '{upstream}'{errors.did_you_mean(upstream, known)}",
        )
        for place, upstream in enumerate(after)
        if upstream not in known
    ]
    graph = {edge["name"]: edge["after"] for edge in transaction.rows(_SQL["edges"])}
    cycle = trigger.cycle(name, graph | {name: after})
    if cycle is not None:
        shown = " runs after ".join(f"'{one}'" for one in cycle)
        problems.append(Problem("trigger.after", f"a cycle: {shown}"))
    if problems:
        raise errors.Invalid.of(problems)


def _newest(transaction: Transaction, document: Mapping[str, Any]) -> list[Row]:
    names = upstreams(document)
    return transaction.rows(_SQL["newest"], {"names": names}) if names else []


def _put(transaction: Transaction, statement: str, pipeline_id: str, row: Row) -> None:
    values = {"pipeline_id": pipeline_id, "upstream_id": row["id"], "version": row["version"]}
    transaction.execute(_SQL[statement], values)


def _state(edge: Row, newest: Mapping[str, Row], seen: Mapping[tuple[str, str], int]) -> TriggerState:
    names: Sequence[str] = edge["after"]
    committed = [n for n in names if n in newest and newest[n]["version"] > seen.get((edge["id"], newest[n]["id"]), 0)]
    return TriggerState(committed=committed, awaited=[n for n in names if n not in committed])
