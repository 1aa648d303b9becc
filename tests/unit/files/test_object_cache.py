"""The cache: what is fetched once, what is removed, and what stays."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.files.layout import Layout
from service.files.object_cache import ObjectCache, Wanted
from service.files.object_store import DamagedObject, ObjectStore
from service.kit import errors


class Place:
    """A cache over a store with parts of ten bytes."""

    def __init__(self, root: Path, budget: int, grace: float) -> None:
        self.store = ObjectStore(f"file://{root}/store", seconds=1)
        self.layout = Layout(root / "data", objects=self.store)
        self.layout.create()
        self.noted: list[str] = []
        note = lambda _, __, checksum: self.noted.append(checksum)  # noqa: E731 - three words
        self.cache = ObjectCache(self.layout, self.store, budget, note, grace)

    def wanted(self, number: int, parts: int = 1) -> list[Wanted]:
        """The parts of a version, which the store has."""
        found = []
        for part in range(parts):
            data = f"{number:05d}{part:05d}".encode()
            key = f"shop/v{number}/{part}"
            self.store.put(key, data)
            folder = self.layout.version("shop", number)
            found.append(Wanted(folder, f"c=1/part-{part}.parquet", key, 10, hashlib.sha256(data).hexdigest()))
        return found

    def here(self) -> list[str]:
        return sorted(p.parent.parent.name for p in self.layout.warehouse.rglob("part-*"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path, budget=25, grace=0.0)
    yield found
    found.store.close()
    found.cache.close()


def test_a_file_is_fetched_once_however_many_ask(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, fetched, go = place.wanted(1, parts=3), list[str](), threading.Event()
    original = ObjectStore.fetch

    def counted(self: ObjectStore, key: str, *rest: object) -> None:
        go.wait(10)
        fetched.append(key)
        original(self, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectStore, "fetch", counted)
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(place.cache.fill, wanted) for _ in range(6)]
        while len(place.cache._filling) < 6:
            time.sleep(0.001)
        go.set()
        for one in waiting:
            one.result(10)
    assert sorted(fetched) == [one.key for one in wanted]
    assert sorted(place.noted) == sorted(one.sha256 for one in wanted)
    assert not [path for path in place.layout.staging_root.rglob("*") if path.is_file()]


def test_a_file_that_is_not_as_recorded_never_gets_its_name(place: Place) -> None:
    (wanted,) = place.wanted(1)
    place.store.put(wanted.key, b"0123456789")
    with pytest.raises(DamagedObject):
        place.cache.fill([wanted])
    place.store.put(wanted.key, b"short")
    with pytest.raises(DamagedObject):
        place.cache.fill([wanted])
    assert place.here() == []


def test_what_was_not_used_for_longest_is_removed(place: Place) -> None:
    versions = {number: place.wanted(number) for number in (1, 2, 3)}
    assert place.cache.is_full  # nobody has looked yet
    for number, wanted in versions.items():
        place.cache.touch(place.layout.version("shop", number))
        place.cache.fill(wanted)
    place.cache.touch(place.layout.version("shop", 1))
    order = place.cache.survey((wanted[0].folder, wanted) for wanted in versions.values())
    assert ([one.folder.name for one in order], place.cache.is_full) == (["v000002", "v000003", "v000001"], True)
    assert place.cache.evict(order[0]) == 10
    assert (place.here(), place.cache.is_full) == (["v000001", "v000003"], False)
    place.cache.fill(versions[2])
    assert place.here() == ["v000001", "v000002", "v000003"]


def test_what_is_about_to_be_opened_stays(tmp_path: Path) -> None:
    place = Place(tmp_path, budget=0, grace=60.0)
    wanted = place.wanted(1)
    place.cache.fill(wanted)
    (cached,) = place.cache.survey([(wanted[0].folder, wanted)])
    assert place.cache.evict(cached._replace(used=time.monotonic() - 50)) == 0
    place.cache.touch(wanted[0].folder)
    assert place.cache.evict(cached._replace(used=time.monotonic() - 500)) == 0
    assert place.here() == ["v000001"]


def test_what_was_used_since_a_fetch_in_progress_began_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, go, began = place.wanted(1), place.wanted(2), threading.Event(), threading.Event()
    place.cache.fill(first)
    original = ObjectStore.fetch

    def slow(self: ObjectStore, key: str, *rest: object) -> None:
        began.set()
        go.wait(10)
        original(self, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ObjectStore, "fetch", slow)
    with ThreadPoolExecutor(1) as pool:  # a run that reads both
        filling = pool.submit(place.cache.fill, second)
        began.wait(10)
        place.cache.touch(first[0].folder)
        (cached,) = place.cache.survey([(first[0].folder, first)])
        assert place.cache.evict(cached) == 0
        go.set()
        filling.result(10)
    (cached,) = place.cache.survey([(first[0].folder, first)])
    assert place.cache.evict(cached) == 10


def test_what_the_store_does_not_have_stays(place: Place) -> None:
    wanted = place.wanted(1)
    place.cache.fill(wanted)
    place.store.delete([wanted[0].key])
    (cached,) = place.cache.survey([(wanted[0].folder, wanted)])
    assert (place.cache.evict(cached), place.here()) == (0, ["v000001"])


def test_a_shared_file_counts_once(place: Place) -> None:
    first, second = place.wanted(1), place.wanted(2)
    place.cache.fill(first)
    target = second[0].folder / second[0].name
    target.parent.mkdir(parents=True)
    target.hardlink_to(first[0].folder / first[0].name)
    order = place.cache.survey((wanted[0].folder, wanted) for wanted in (first, second))
    assert (len(order), place.cache.is_full) == (2, False)
    assert sorted(map(place.cache.evict, order)) == [0, 10]


def test_a_store_that_is_gone_is_unavailable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = place.wanted(1)
    monkeypatch.setattr(ObjectStore, "fetch", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(errors.Unavailable, match="PENSTOCK_CACHE_BYTES"):
        place.cache.fill(wanted)
    place.store.close()
