"""The keeper of the cache: within its budget, and nothing of what somebody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.catalog.version_marks import VersionMarks
from service.files.object_cache import ObjectCache
from service.runs.cache_keeper import CacheKeeper
from tests.unit.runs.stored import CLOCK, Installation


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path) as installation:
        installation.create()
        for number in (1, 2, 3):
            installation.publish(f"run_{number}", {"part-00000.parquet": b"x" * 10 + b"%d" % number})
        yield installation


def keeper(shop: Installation, budget: int, *reads: str) -> CacheKeeper:
    assert shop.objects is not None
    cache = ObjectCache(shop.layout, shop.objects, budget, lambda *_: None, 0.0)
    return CacheKeeper(cache, shop.history, shop.layout, lambda folder: folder.name in reads)


def here(shop: Installation) -> list[str]:
    return sorted(path.parent.name for path in shop.layout.pipeline("shop").glob("v*/part-*"))


def test_what_is_read_stays(shop: Installation) -> None:
    assert asyncio.run(keeper(shop, 11, "v000001").sweep()) == 22
    assert here(shop) == ["v000001"]
    assert asyncio.run(keeper(shop, 0, "v000001").sweep()) == 0
    assert {path.name for path in shop.layout.version("shop", 2).iterdir()} == {"manifest.json"}
    version = shop.history.version(shop.pipeline_id, "shop", 2)
    assert shop.read(version) == [b"xxxxxxxxxx2"]
    assert shop.verify().findings == []


def test_nothing_is_removed_within_the_budget(shop: Installation) -> None:
    kept = keeper(shop, 33)
    assert asyncio.run(kept.sweep()) == 0
    shop.publish("run_4", {"part-00000.parquet": b"x" * 11})
    kept.note(shop.pipeline_id)
    assert asyncio.run(kept.sweep()) == 11


def test_what_the_store_does_not_have_stays(shop: Installation) -> None:
    assert shop.objects is not None
    shop.objects.delete([key for key in shop.objects_there() if "v000001" in key])
    assert asyncio.run(keeper(shop, 0).sweep()) == 22
    assert here(shop) == ["v000001"]
    shop.upkeep.sweep()
    assert asyncio.run(keeper(shop, 0).sweep()) == 11
    assert here(shop) == []


def test_it_works_by_itself_while_the_service_serves(shop: Installation) -> None:
    async def scenario() -> None:
        async with keeper(shop, 0).at_work():
            for _ in range(1000):
                if not here(shop):
                    return
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert here(shop) == []


def test_what_was_deleted_on_another_host_goes(shop: Installation) -> None:
    third = shop.history.version(shop.pipeline_id, "shop", 3)
    shop.forget()
    versions = [shop.history.version(shop.pipeline_id, "shop", number) for number in (1, 2, 3)]
    shop.publish("run_4", {"part-00000.parquet": b"4"})
    for version in versions:
        shop.read(version)
    VersionMarks(shop.store).delete_all(shop.pipeline_id, versions[:2], CLOCK.now())
    asyncio.run(keeper(shop, 1 << 30, "v000001").sweep())
    assert here(shop) == ["v000001", "v000003", "v000004"]
    shop.condition.recover(CLOCK.now(), accept_empty=False)
    assert here(shop) == ["v000003", "v000004"]
    assert shop.layout.orphans() == []
    assert shop.read(third) == [b"xxxxxxxxxx3"]


def test_a_local_installation_has_none(tmp_path: Path) -> None:
    with Installation(tmp_path, stored=False) as shop:
        shop.create()
        kept = CacheKeeper(shop.integrity.cache, shop.history, shop.layout, lambda _: False)

        async def scenario() -> None:
            async with kept.at_work():
                kept.note(shop.pipeline_id)

        asyncio.run(scenario())
