"""The versions of upstream pipelines that each pipeline with a trigger has seen.

A run notes the newest versions of its upstreams in the transaction that stores it; a trigger is ready when each of them
has a newer one. Before its first run a pipeline has seen what its upstreams had when the trigger was configured: saving
a configuration executes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.kit import errors
from service.kit.errors import Problem
from service.model import trigger
from service.model.rights import Readable
from service.model.run import Run
from service.model.trigger import TriggerState

_SQL = load_sql("trigger_inputs")


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with a trigger, and the state of the trigger."""

    pipeline_id: str
    name: str
    state: TriggerState


class TriggerInputs:
    """The triggers in the catalog. Methods block. ``reads`` answers which pipelines the runs of one may read."""

    def __init__(self, store: Store, reads: Callable[[str], Readable] = lambda _: None) -> None:
        self._store = store
        self._reads = reads

    def check(self, name: str, document: Mapping[str, Any], readable: Readable = None) -> None:
        """Refuse unknown upstreams and cycles. Raises ``errors.Invalid``, which tells of ``readable`` pipelines."""
        if upstreams(document):
            self._store.write(lambda transaction: _check(transaction, name, document, readable))

    def all(self) -> list[Triggered]:
        """All pipelines with a trigger, by name."""
        edges = self._store.rows(_SQL["edges"])
        if not edges:
            return []
        names = sorted({upstream for edge in edges for upstream in edge["after"]})
        newest = {r["name"]: r for r in self._store.rows(_SQL["newest"], {"names": names})}
        seen = {(r["pipeline_id"], r["upstream_id"]): r["version"] for r in self._store.rows(_SQL["seen"])}
        seen_by = [(edge, self._seen_of(edge["name"], newest)) for edge in edges]
        return [Triggered(pipeline_id=e["id"], name=e["name"], state=_state(e, of, seen)) for e, of in seen_by]

    def _seen_of(self, name: str, newest: Mapping[str, Row]) -> Mapping[str, Row]:
        """What the runs of a pipeline may read of the newest versions: others are awaited for ever."""
        readable = self._reads(name)
        return newest if readable is None else {one: row for one, row in newest.items() if one in readable}

    def state(self, name: str, pipeline_id: str, document: Mapping[str, Any]) -> TriggerState | None:
        """The state of the trigger of a pipeline with that configuration; None if it has none."""
        names = upstreams(document)
        if not names:
            return None
        found = self._store.rows(_SQL["committed"], {"pipeline_id": pipeline_id, "names": names})
        readable = self._reads(name)
        committed = {row["name"] for row in found if readable is None or row["name"] in readable}
        return TriggerState(
            committed=[name for name in names if name in committed],
            awaited=[name for name in names if name not in committed],
        )


def upstreams(document: Mapping[str, Any]) -> list[str]:
    """The pipelines after which the pipeline of ``document`` runs."""
    value = document.get("trigger")
    return list(value["after"]) if isinstance(value, Mapping) else []


def configure(
    transaction: Transaction, pipeline_id: str, name: str, document: Mapping[str, Any], readable: Readable = None
) -> None:
    """Check and note the trigger of a new revision of a pipeline. Part of the transaction that stores it.

    Raises ``errors.Invalid``.
    """
    _check(transaction, name, document, readable)
    rows = _newest(transaction, document)
    transaction.execute(_SQL["forget"], {"pipeline_id": pipeline_id, "upstreams": [row["id"] for row in rows]})
    for row in rows:
        _put(transaction, "insert", pipeline_id, row)


def note_run(transaction: Transaction, pipeline_id: str, document: Mapping[str, Any], _: Run) -> None:
    """Note the newest versions of the upstreams. Part of the transaction that stores a run."""
    for row in _newest(transaction, document):
        _put(transaction, "put", pipeline_id, row)


def refuse_delete(transaction: Transaction, name: str, readable: Readable = None) -> None:
    """Raises ``errors.Conflict`` if other pipelines run after ``name``; it names those that are ``readable``."""
    after = [edge["name"] for edge in transaction.rows(_SQL["edges"]) if name in edge["after"]]
    others = [other for other in after if readable is None or other in readable]
    if after:
        listed = ", ".join(f"'{other}'" for other in others) or "another pipeline"
        raise errors.Conflict(
            f"{listed} would wait for ever: 'trigger.after' names '{name}'; change or delete that first",
            pipelines=others,
        )


def _check(transaction: Transaction, name: str, document: Mapping[str, Any], readable: Readable) -> None:
    after = upstreams(document)
    if not after:
        return
    known = {row["name"] for row in transaction.rows(_SQL["names"])}
    known = known if readable is None else known & readable
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
        seen = (f"'{one}'" if readable is None or one in {*readable, name} else "another pipeline" for one in cycle)
        shown = " runs after ".join(seen)
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
