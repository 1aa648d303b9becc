"""Lineage: which collectors make their requests of which others' rows, and whether that can work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.kit import decoding, errors
from service.kit.errors import Problem
from service.steps.collector import Collector


def label(collectors: Sequence[Collector], index: int) -> str:
    """The name of a collector: its id, or its type and place."""
    collector = collectors[index]
    return collector.id or f"{type(collector).__struct_config__.tag}_{index}"


def parent(collectors: Sequence[Collector], index: int) -> int | None:
    """The place of the collector of whose rows this one makes its requests; None where there is none."""
    above = collectors[index].parent()
    if above is None:
        return None
    return next((i for i in range(len(collectors)) if label(collectors, i) == above.collector), None)


def above(collectors: Sequence[Collector], index: int) -> list[int]:
    """The places of its parent, of the parent's parent and so on; ends where it would begin again."""
    found: list[int] = []
    here = parent(collectors, index)
    while here is not None and here not in found:
        found.append(here)
        here = parent(collectors, here)
    return found


def data(collectors: Sequence[Collector]) -> list[int]:
    """The places of those whose rows are data: a parent is none of them, unless a child says that it is."""
    parents = {parent(collectors, i): collectors[i].parent() for i in range(len(collectors))}
    kept = {parent(collectors, i) for i, c in enumerate(collectors) if (p := c.parent()) is not None and p.kept}
    return [i for i in range(len(collectors)) if i not in parents or i in kept]


def problems(collectors: Sequence[Collector]) -> Iterable[Problem]:
    """Parents that there are not, or that lack a column, circles, and addresses that are relative to nothing."""
    names = [label(collectors, i) for i in range(len(collectors))]
    for index, collector in enumerate(collectors):
        wanted, at = collector.parent(), f"collectors[{index}]"
        if wanted is None:
            continue
        place, field = parent(collectors, index), decoding.join(at, wanted.field)
        if place is None:
            hint = errors.did_you_mean(wanted.collector, names)
            yield Problem(field, f"there is no collector '{wanted.collector}'{hint} (there are {', '.join(names)})")
            continue
        if index in above(collectors, index):
            yield Problem(field, f"'{wanted.collector}' is made of the rows of this one")
            continue
        address = collector.address()
        if address is not None and "://" not in address and "${" not in address and collectors[place].address() is None:
            yield Problem(f"{at}.endpoint", f"is relative, and '{wanted.collector}' has no address; give a whole URL")
        told = collectors[place].declared()
        for column, setting in wanted.columns.items():
            if told is not None and told.closed and column not in told.schema:
                hint = errors.did_you_mean(column, told.schema)
                yield Problem(decoding.join(at, setting), f"'{wanted.collector}' has no column '{column}'{hint}")
