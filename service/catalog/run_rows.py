"""The rows of runs, as transactions write them. A status changes only as ``lifecycle.TRANSITIONS`` allows."""

from __future__ import annotations

import functools

import msgspec

from service.catalog import deliveries
from service.catalog.kept_rows import RUN_STATES
from service.catalog.leases import Lease
from service.catalog.statements import load_sql
from service.catalog.store import Row, Transaction, naive
from service.kit import errors
from service.model import lifecycle
from service.model.lifecycle import ENDED
from service.model.run import Run

_SQL = load_sql("runs")
_NEWEST = "newest"
"""The place in memory of the newest run's number."""


@functools.lru_cache(256)
def decoded(value: str) -> Run:
    """The run in a row that stays in memory, which is asked for again and again."""
    return msgspec.json.decode(value, type=Run)


def insert(transaction: Transaction, pipeline_id: str, run: Run, lease: Lease) -> None:
    """Add a run; one that is running has the fencing token 1 and is leased."""
    assert run.queued_at is not None
    newest = transaction.kept_row("runs", _NEWEST, _SQL["newest_sequence"], {})
    assert newest is not None
    sequence, fence = newest["sequence"] + 1, 1 if run.status == "running" else 0
    transaction.execute(
        _SQL["insert"],
        {
            "run_id": run.run_id, "pipeline_id": pipeline_id, "pipeline": run.pipeline,
            "revision": run.revision, "status": run.status, "queued_at": naive(run.queued_at),
            "start_time": naive(run.start_time) if run.start_time else None, "requested_by": run.requested_by,
            "value": msgspec.json.encode(run).decode(), "fence": fence, "sequence": sequence,
            "restored": run.restored_from is not None, "label": run.label, **lease.terms(run.status),
        },
    )  # fmt: skip
    transaction.keep("runs", _NEWEST, _SQL["newest_sequence"], {"sequence": sequence})
    _keep_state(transaction, run, {"status": run.status, "fence": fence, "pipeline_id": pipeline_id})


def change(transaction: Transaction, run: Run, lease: Lease, fence: int | None, *, begun: int = 0) -> int:
    """Write a run whose status has changed, and the messages about its end. Returns its token, raised by ``begun``.

    A run that is running is leased from then on, and one whose status is another has no owner.

    Raises ``lifecycle.IllegalTransition``, ``lifecycle.Superseded``, ``errors.Missing`` (RUN_NOT_FOUND).
    """
    known = state(transaction, run.run_id)
    if fence is not None and known["fence"] != fence:
        raise lifecycle.superseded(run.run_id)
    if known["status"] not in lifecycle.predecessors(run.status):
        raise lifecycle.illegal(run.run_id, known["status"], run.status)
    if run.ended and known["status"] not in ENDED:
        deliveries.note_end(transaction, known["pipeline_id"], run)
    return write(transaction, run, known, lease, begun=begun)


def amend(transaction: Transaction, pipeline_id: str, run: Run) -> None:
    """Write what else is to be said of a run whose status is the stored one. Raises as ``change``."""
    values = {
        "run_id": run.run_id, "pipeline_id": pipeline_id, "status": run.status,
        "peak_memory_bytes": run.peak_memory_bytes, "value": msgspec.json.encode(run).decode(),
    }  # fmt: skip
    if not transaction.execute(_SQL["amend"], values):
        raise lifecycle.illegal(run.run_id, state(transaction, run.run_id)["status"], run.status)


def state(transaction: Transaction, run_id: str) -> Row:
    """The status, the token and the pipeline of a run. Raises ``errors.Missing`` (RUN_NOT_FOUND)."""
    row = transaction.kept_row(RUN_STATES, run_id, _SQL["state"], {"run_id": run_id})
    if row is None:
        raise missing(run_id)
    return row


def missing(run_id: str) -> errors.Missing:
    """The error of a run that the catalog does not know."""
    return errors.Missing(f"there is no run '{run_id}'", code="RUN_NOT_FOUND", field="run_id")


def write(transaction: Transaction, run: Run, known: Row, lease: Lease, *, begun: int = 0) -> int:
    """Write a run whose ``state`` in this transaction is ``known``. Returns its token, raised by ``begun``.

    A statement costs by the columns that it writes; one that compares and returns would cost twice as much.
    """
    token = int(known["fence"] or 0) + begun
    values = {
        "run_id": run.run_id, "pipeline_id": known["pipeline_id"], "before": known["status"], "status": run.status,
        "start_time": naive(run.start_time) if run.start_time else None,
        "value": msgspec.json.encode(run).decode(), "fence": token, **lease.terms(run.status),
    }  # fmt: skip
    if (known["status"], run.status) == ("queued", "running"):  # what else there is to say has not happened yet
        written = transaction.execute(_SQL["begin"], values)
    else:
        values |= {
            "end_time": naive(run.end_time) if run.end_time else None, "version": run.version,
            "rows_collected": run.rows_collected, "rows_stored": run.rows_stored,
            "peak_memory_bytes": run.peak_memory_bytes, "restored": run.restored_from is not None,
        }  # fmt: skip
        written = transaction.execute(_SQL["change"], values)
    if written != 1:  # what is known is not what is stored
        raise lifecycle.superseded(run.run_id)
    _keep_state(transaction, run, {**known, "status": run.status, "fence": token})
    return token


def _keep_state(transaction: Transaction, run: Run, known: Row) -> None:
    """Let the next change of a run find its state in memory; one that has ended rarely changes."""
    if not run.ended:
        transaction.keep(RUN_STATES, run.run_id, _SQL["state"], known)
