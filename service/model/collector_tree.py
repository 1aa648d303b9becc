"""The tree of collectors: which collectors make requests from the rows of a parent, and whether the tree is valid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.kit import decoding, errors
from service.kit.errors import Problem
from service.steps.collector import Collector


def label(collectors: Sequence[Collector], index: int) -> str:
    """The name of a collector: its id, or its type and index."""
    collector = collectors[index]
    return collector.id or f"{type(collector).__struct_config__.tag}_{index}"


def parent(collectors: Sequence[Collector], index: int) -> int | None:
    """The index of the collector's parent, from whose rows it makes its requests; None without a parent."""
    above = collectors[index].parent()
    if above is None:
        return None
    return next((i for i in range(len(collectors)) if label(collectors, i) == above.collector), None)


def above(collectors: Sequence[Collector], index: int) -> list[int]:
    """The indexes of the parent, its parent and so on; stops at a cycle."""
    found: list[int] = []
    here = parent(collectors, index)
    while here is not None and here not in found:
        found.append(here)
        here = parent(collectors, here)
    return found


def data(collectors: Sequence[Collector]) -> list[int]:
    """The indexes of the collectors whose rows are data: those without children, and parents with ``keep_parents``."""
    parents = {parent(collectors, i): collectors[i].parent() for i in range(len(collectors))}
    kept = {parent(collectors, i) for i, c in enumerate(collectors) if (p := c.parent()) is not None and p.kept}
    return [i for i in range(len(collectors)) if i not in parents or i in kept]


def problems(collectors: Sequence[Collector]) -> Iterable[Problem]:
    """Unknown parents, parents that lack a column, cycles, and relative addresses without a base."""
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
            yield Problem(field, f"'{wanted.collector}' makes its requests from the rows of this collector")
            continue
        address = collector.address()
        if address is not None and "://" not in address and "${" not in address and collectors[place].address() is None:
            yield Problem(f"{at}.endpoint", f"is relative, and '{wanted.collector}' has no address; give a whole URL")
        declared = collectors[place].declared()
        for column, setting in wanted.columns.items():
            if declared is not None and declared.closed and column not in declared.schema:
                hint = errors.did_you_mean(column, declared.schema)
                yield Problem(decoding.join(at, setting), f"'{wanted.collector}' has no column '{column}'{hint}")
