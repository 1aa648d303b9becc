"""The table of legal transitions, and the catalog that enforces it, for every sequence of changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog.history import History
from service.kit import errors, ids
from service.model import lifecycle
from service.model.lifecycle import ENDED, TRANSITIONS, WAITING, Status
from service.model.run import Run
from tests import stores

pytestmark = stores.BOTH

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES: tuple[Status, ...] = get_args(Status)


@pytest.fixture(scope="module")
def history() -> History:
    return History(stores.new())


def a_run(status: Status) -> Run:
    return Run(run_id=ids.new("run"), pipeline="orders", revision=1, status=status, queued_at=T0)


def test_the_table_names_every_status() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert set().union(*TRANSITIONS.values()) <= set(STATUSES)
    assert {"completed", "held", "failed", "cancelled", "interrupted"} == ENDED


def test_every_status_can_reach_an_end() -> None:
    for status in STATUSES:
        reached, pending = {status}, [status]
        while pending:
            fresh = TRANSITIONS[pending.pop()] - reached
            reached |= fresh
            pending += fresh
        assert reached & ENDED
    for status in WAITING:
        assert "cancelled" in TRANSITIONS[status]


@given(st.lists(st.sampled_from(STATUSES), max_size=8))
def test_the_catalog_enforces_the_table(history: History, wanted: list[Status]) -> None:
    run = a_run("queued")
    history.add_run("pl", run)
    for status in wanted:
        after = msgspec.structs.replace(run, status=status, rows_stored=run.rows_stored + 1)
        if status in TRANSITIONS[run.status]:
            history.change_run(after)
            run = after
        else:
            with pytest.raises(lifecycle.IllegalTransition, match=f"is {run.status} and cannot become {status}"):
                history.change_run(after)
        assert history.run(run.run_id) == run
        assert history.status(run.run_id) == run.status


@given(st.lists(st.sampled_from(["attempt", "retry", "publish"]), max_size=8))
def test_only_the_newest_attempt_can_change_the_run(history: History, acts: list[str]) -> None:
    run = a_run("queued")
    history.add_run("pl", run)
    tokens = [0]
    for act in acts:
        if act == "attempt" and run.status in WAITING:
            run = msgspec.structs.replace(run, status="running")
            tokens.append(history.begin_attempt(run))
            assert tokens[-1] > tokens[-2]
        elif run.status == "running":
            after = msgspec.structs.replace(run, status="retrying" if act == "retry" else "completed")
            for old in tokens[:-1]:
                with pytest.raises(lifecycle.Superseded):
                    history.change_run(after, old)
                assert history.run(run.run_id) == run
            history.change_run(after, tokens[-1])
            run = after


def test_an_unknown_run_is_missing(history: History) -> None:
    with pytest.raises(errors.Missing):
        history.change_run(a_run("running"))
