"""Column tasks: metrics divided into tasks that read the same columns, so that each column is read once.

One task answers all metrics of a column, another all correlations, which take one pass; each other one is a task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import polars as pl

from service.engine.spark.messages import Measure
from service.steps.metric import Metric

_PAIRS = frozenset({"corr", "means", "spearman"})


def of(metrics: Iterable[Metric], plan: Callable[[Sequence[str] | pl.Expr], list[bytes]]) -> list[Measure]:
    """The tasks; ``plan`` makes the plans of all parts with these columns. The number of rows is known without one."""
    groups: dict[object, list[Metric]] = defaultdict(list)
    for metric in metrics:
        if metric.kind == "corr":
            groups["corr"].append(metric)
        elif metric.kind in _PAIRS or metric.kind == "duplicates":
            groups[metric].append(metric)
        elif metric.column:
            groups["column", metric.column].append(metric)
        else:
            groups[""].append(metric)
    whole = groups.pop("", [])
    tasks = []
    for asked in groups.values():
        named = [n for m in asked for n in ((m.column, str(m.argument)) if m.kind in _PAIRS else (m.column,)) if n]
        columns = list(dict.fromkeys(named)) or pl.all()
        sample = [m for m in whole if m.kind == "sample" and any(one.estimate for one in asked)]
        tasks.append(Measure(plan(columns), [*asked, *sample]))
    return tasks
