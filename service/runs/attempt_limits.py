"""The limits of the child that executes an attempt: what its order names, and nothing else."""

from __future__ import annotations

from service.files.layout import STATE
from service.jobs.messages import Order, Replay
from service.processes.limits import Limits
from service.runs import job_resources


def of(order: Order) -> Limits:
    """The limits for an order."""
    if order.replay is not None:
        return job_resources.limits(order.grants, network=False, read=replayed(order.replay))
    if order.reload is None:
        remembered = (f"{order.remembered.folder}/{STATE}",) if order.remembered is not None else ()
        base = (order.base.version.folder,) if order.base is not None else ()
        return job_resources.limits(order.grants, read=(*remembered, *base))
    read = () if order.reload.earlier is None else (order.reload.earlier.path,)
    return job_resources.limits(order.grants, network=False, read=read, write=(order.reload.folder,), stderr=None)


def replayed(replay: Replay) -> tuple[str, ...]:
    """The files that a replay reads."""
    record = [replay.fit_record] if replay.fit_record else []
    origin = replay.origin.parts if replay.origin is not None else ()
    return (*replay.files, *replay.carried, *replay.base.parts, *origin, *record)
