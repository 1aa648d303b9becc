"""Which runs may share a worker, one after the other (``processes.kept``, .decisions/0021).

Those that read files of the operator's roots and nothing else: no network, no secrets, no stored rows. What their
worker may reach is then the same for each of them. Code of others (plug-ins, SQL) does not run in a worker that is
kept.
"""

from __future__ import annotations

import msgspec

from service.jobs.messages import Order
from service.model.pipeline import Pipeline
from service.model.registry import is_ours
from service.processes.limits import Limits
from service.processors.sql import Sql
from service.runs import job_resources


def limits(pipeline: Pipeline, order: Order) -> Limits | None:
    """The limits of a worker that may execute other runs, too, without its folder; None for a worker of its own."""
    grants = order.grants
    if grants.secrets or grants.stored or grants.copies or order.replay is not None or order.reload is not None:
        return None
    if order.remembered is not None or pipeline.mode.mode != "replace":
        return None
    if order.base is not None and not order.base.alike:  # it may have to compare rows with stored ones
        return None
    if pipeline.execution.engine != "polars":  # a cluster needs the network
        return None
    if not all(collector.local for collector in pipeline.collectors):
        return None
    steps = (*pipeline.collectors, *pipeline.processors, *pipeline.storage)
    if not all(is_ours(step) and not isinstance(step, Sql) for step in steps):
        return None
    return msgspec.structs.replace(job_resources.limits(grants, network=False), write=(), stderr=None)
