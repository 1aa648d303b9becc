"""Who follows what changes: nothing is missed, nothing is told twice, and one look is for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import pytest

from service.catalog.history import History
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.rights import Rights
from service.model.run import Run
from service.runs.change_feed import Batch, ChangeFeed, Position
from tests import stores

CLOCK = FixedClock()
QUIET = 30.0
ROOT = Rights(username="root", role="admin")


def in_a_loop(test: Callable[[Store], Awaitable[None]]) -> Callable[[Store], None]:
    """A test that is a coroutine."""

    async def patiently(store: Store) -> None:
        async with asyncio.timeout(60):
            await test(store)

    def run(store: Store) -> None:
        asyncio.run(patiently(store))

    return run


@pytest.fixture
def store() -> Store:
    return stores.new()


def add(store: Store, name: str) -> str:
    return Pipelines(store, CLOCK).create(name, name, {}, "cli").id


def run(store: Store, pipeline_id: str, number: int) -> None:
    run = Run(run_id=f"run_{number}", pipeline="orders", revision=1, status="queued", queued_at=CLOCK.now())
    History(store).add_run(pipeline_id, run)


async def told(batches: AsyncGenerator[Batch, None], *pipelines: str) -> dict[str, set[str]]:
    """The parts that changed, by pipeline, until all of these have come."""
    found: dict[str, set[str]] = {}
    while True:
        batch = await anext(batches)
        assert not batch.missed
        for change in batch.changes:
            found.setdefault(change.pipeline, set()).update(change.changed)
        if found.keys() >= set(pipelines):
            return found


@in_a_loop
async def test_what_changes_is_told(store: Store) -> None:
    orders = add(store, "orders")
    async with aclosing(ChangeFeed(store, []).follow(None, QUIET)) as batches:
        assert (await anext(batches)).missed
        await asyncio.to_thread(run, store, orders, 1)
        assert await told(batches, "orders") == {"orders": {"runs"}}
        await asyncio.to_thread(add, store, "customers")
        found = await told(batches, "customers")
        assert found == {"customers": {"pipeline", "schedule", "runs", "versions"}}


@in_a_loop
async def test_who_comes_back_misses_nothing(store: Store) -> None:
    orders, customers = add(store, "orders"), add(store, "customers")
    feed = ChangeFeed(store, [])
    async with aclosing(feed.follow(None, QUIET)) as one, aclosing(feed.follow(None, QUIET)) as other:
        before = (await anext(one)).position
        await anext(other)
        await asyncio.to_thread(run, store, orders, 1)
        await told(one, "orders")
        await asyncio.to_thread(run, store, customers, 2)
        await told(one, "customers")
        async with aclosing(feed.follow(before, QUIET)) as back:
            assert not (await anext(back)).missed
            found = await told(back, "orders", "customers")
            assert found == {"orders": {"runs"}, "customers": {"runs"}}


@in_a_loop
async def test_a_position_from_before_anybody_followed_leads_on_if_nothing_changed(store: Store) -> None:
    feed, orders = ChangeFeed(store, []), add(store, "orders")
    read = feed.position()
    async with aclosing(feed.follow(read, QUIET)) as batches:
        assert not (await anext(batches)).missed
    run(store, orders, 1)
    async with aclosing(feed.follow(read, QUIET)) as batches:
        assert (await anext(batches)).missed
    async with aclosing(ChangeFeed(store, []).follow(Position("0123abcd", 7, 5), QUIET)) as batches:
        assert (await anext(batches)).missed


@in_a_loop
async def test_who_comes_back_after_everybody_went_misses_nothing(store: Store) -> None:
    feed, orders = ChangeFeed(store, []), add(store, "orders")
    async with aclosing(feed.follow(None, QUIET)) as batches:
        before = (await anext(batches)).position
    run(store, orders, 1)
    read = feed.position()
    async with aclosing(feed.follow(before, QUIET)) as batches:
        assert not (await anext(batches)).missed
        assert await told(batches, "orders") == {"orders": {"runs"}}
    async with aclosing(feed.follow(read, QUIET)) as batches:
        assert not (await anext(batches)).missed


@in_a_loop
async def test_silence_is_told_and_a_stop_ends_it(store: Store) -> None:
    feed = ChangeFeed(store, [])
    async with aclosing(feed.follow(None, 0.0)) as batches:
        await anext(batches)
        assert (await anext(batches)).changes == ()
        feed.close()
        assert [batch async for batch in batches] == []
    with pytest.raises(errors.Unavailable):
        await anext(feed.follow(None, QUIET))


@in_a_loop
async def test_a_look_is_for_all_commits_of_its_time(store: Store) -> None:
    names = [f"p{number}" for number in range(40)]
    batches = 0
    async with aclosing(ChangeFeed(store, []).follow(None, QUIET)) as following:
        await anext(following)
        for name in names:
            await asyncio.to_thread(add, store, name)
        missing = {*names}
        while missing:
            missing -= {change.pipeline for change in (await anext(following)).changes}
            batches += 1
    assert batches < 20


@in_a_loop
async def test_a_deleted_pipeline_is_told(store: Store) -> None:
    add(store, "orders")
    async with aclosing(ChangeFeed(store, []).follow(None, QUIET)) as batches:
        await anext(batches)
        await asyncio.to_thread(Pipelines(store, CLOCK).delete, "orders")
        (change,) = (await anext(batches)).changes
        assert (change.pipeline, change.deleted) == ("orders", True)


@in_a_loop
async def test_a_position_of_a_process_that_ended_is_no_position_of_the_next(store: Store) -> None:
    """Both have written equally often, of different things."""
    other = stores.new()
    add(store, "orders")
    add(other, "customers")
    async with aclosing(ChangeFeed(other, []).follow(ChangeFeed(store, []).position(), QUIET)) as batches:
        assert (await anext(batches)).missed


@in_a_loop
async def test_who_saw_a_pipeline_comes_with_its_change(store: Store) -> None:
    pipelines, ownership = Pipelines(store, CLOCK), Ownership(store)
    pipelines.create("orders", "orders", {}, "ann", owner="oidc:ann")
    async with aclosing(ChangeFeed(store, []).follow(None, QUIET)) as batches:
        before = (await anext(batches)).position
        await asyncio.to_thread(ownership.change, "orders", ROOT, {"visibility": "private"})
        batch = await anext(batches)
        assert set(batch.audiences["orders"]) == {("oidc:ann", "shared"), ("oidc:ann", "private")}
        await asyncio.to_thread(pipelines.delete, "orders")
        batch = await anext(batches)
        assert set(batch.audiences["orders"]) == {("oidc:ann", "private")}
        assert before.epoch == batch.position.epoch


@pytest.mark.parametrize("text", ["7", "x-1-1", "0123abcd-1", "0123abcd-1-" + "9" * 30])
def test_an_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        Position.parse(text)
