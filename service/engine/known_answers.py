"""Known answers: metrics that follow from those that were measured already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.engine import value_groups
from service.steps.metric import Metric

UNKNOWN = object()
"""The answer to what was not asked yet."""


def find(answers: Mapping[Metric, Any], metric: Metric) -> Any:
    """The answer to ``metric``, also for some of the quantiles that are known; ``UNKNOWN`` where none follows."""
    if metric in answers:
        return answers[metric]
    if metric.kind == "quantile":
        return _quantiles(answers, metric)
    if metric.kind == "categories" and metric.argument is not None:
        every = answers.get(Metric(metric.column, "categories"), UNKNOWN)
        distinct = answers.get(Metric(metric.column, "distinct"))
        if every is not UNKNOWN:
            return value_groups.at_most(every, metric)
        return None if distinct is not None and distinct > int(str(metric.argument)) else UNKNOWN
    return UNKNOWN


def _quantiles(answers: Mapping[Metric, Any], metric: Metric) -> Any:
    shares = metric.argument if isinstance(metric.argument, tuple) else ()
    for known, values in answers.items():
        if isinstance(known.argument, tuple) and known == msgspec.structs.replace(metric, argument=known.argument):
            places = [known.argument.index(share) for share in shares if share in known.argument]
            if len(places) == len(shares):
                return [values[place] for place in places]
    return UNKNOWN
