"""Uploads in an object store: two hosts have the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from service.files import shared_uploads, uploads
from service.files.layout import Layout
from service.files.object_store import ObjectStore
from service.kit import errors

Hosts = tuple[Layout, Layout]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Two hosts with one store."""
    store = ObjectStore(f"file://{tmp_path}/store", seconds=1)
    one, two = (Layout(tmp_path / name, objects=store) for name in ("one", "two"))
    one.create()
    two.create()
    yield one, two
    store.close()


def upload(layout: Layout, path: str, data: bytes) -> bool:
    incoming = uploads.Incoming(layout.uploads, path)
    try:
        incoming.write(data)
        return shared_uploads.finish(layout, incoming)[1]
    finally:
        incoming.discard()


def files(layout: Layout) -> dict[str, bytes]:
    shared_uploads.pull(layout)
    lines, _ = uploads.list_files(layout.uploads, limit=99, offset=0)
    return {line.path: (layout.uploads / line.path).read_bytes() for line in lines}


def listed(layout: Layout) -> list[uploads.UploadedLine]:
    return uploads.list_files(layout.uploads, limit=99, offset=0)[0]


def keys(layout: Layout) -> list[str]:
    assert layout.objects is not None
    return sorted(one.key.partition("~")[0] for one in layout.objects.list("uploads/"))


def test_what_one_host_gets_the_other_has(hosts: Hosts) -> None:
    one, two = hosts
    assert upload(one, "orders.csv", b"1")
    assert upload(two, "année 1/größe=2.csv", b"2")
    expected = {"orders.csv": b"1", "année 1/größe=2.csv": b"2"}
    assert (files(one), files(two)) == (expected, expected)
    assert listed(one) == listed(two)
    assert not upload(two, "orders.csv", b"11")
    assert (files(one)["orders.csv"], len(keys(one))) == (b"11", 2)
    shared_uploads.delete(one, "orders.csv")
    assert list(files(two)) == ["année 1/größe=2.csv"]
    with pytest.raises(errors.Missing):
        shared_uploads.delete(two, "orders.csv")


def test_of_two_uploads_to_one_path_at_one_moment_one_stays(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = hosts
    upload(one, "orders.csv", b"before")
    both, list_all = Barrier(2), ObjectStore.list

    def together(self: ObjectStore, prefix: str = "") -> Any:
        both.wait(timeout=20)
        return list_all(self, prefix)

    with ThreadPoolExecutor() as pool, monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "list", together)
        new = list(pool.map(lambda host: upload(host, "orders.csv", host.root.name.encode()), hosts))
    assert (files(one), new) == (files(two), [False, True])
    assert files(one)["orders.csv"] in (b"one", b"two")
    upload(two, "orders.csv", b"after")
    assert (files(one), len(keys(one))) == ({"orders.csv": b"after"}, 1)


@pytest.mark.parametrize("moment", ["before the file has its path", "after that"])
def test_a_host_that_is_killed_while_it_replaces_an_upload_has_what_the_others_have(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    one, two = hosts
    upload(one, "orders.csv", b"old")
    replace = os.replace

    def killed(source: Any, target: Any, **places: Any) -> None:
        if not places or moment == "after that":
            replace(source, target, **places)
        if places:  # the folder of the upload: other files have whole paths
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            upload(one, "orders.csv", b"new")
    assert files(one) == files(two) == {"orders.csv": b"new"}


def test_a_fetched_file_was_changed_when_the_store_got_it(hosts: Hosts) -> None:
    one, two = hosts
    upload(one, "orders.csv", b"1")
    files(two)
    assert two.objects is not None
    (stored,) = two.objects.list("uploads/")
    assert (two.uploads / "orders.csv").stat().st_mtime == stored.modified.timestamp()


def test_a_damaged_or_lost_copy_is_fetched_again(hosts: Hosts) -> None:
    one, two = hosts
    upload(one, "a/b.csv", b"1")
    assert files(two) == {"a/b.csv": b"1"}
    (two.uploads / "a" / "b.csv").unlink()
    assert files(two) == {"a/b.csv": b"1"}


def test_an_upload_that_the_store_does_not_take_is_none(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = hosts
    upload(one, "a.csv", b"1")

    def refused(*_: object) -> None:
        raise errors.Unavailable("down", code="STORE_UNAVAILABLE")

    with monkeypatch.context() as context:
        context.setattr(ObjectStore, "put_file", refused)
        with pytest.raises(errors.Unavailable):
            upload(one, "a.csv", b"2")
    assert files(one) == {"a.csv": b"1"}


def test_files_of_people_stay_and_are_written_to_the_store(hosts: Hosts) -> None:
    one, two = hosts
    (one.uploads / "mine").mkdir()
    (one.uploads / "mine" / "x.csv").write_bytes(b"1")
    assert files(one) == {"mine/x.csv": b"1"}
    shared_uploads.push(one)
    assert files(two) == {"mine/x.csv": b"1"}
    shared_uploads.delete(two, "mine/x.csv")
    assert files(one) == {}
    shared_uploads.push(one)
    assert files(two) == {}


def test_an_object_that_is_nobodys_upload_gets_nowhere(hosts: Hosts) -> None:
    one, _ = hosts
    assert one.objects is not None
    for name in ("../secret.key", "a/../../x", "/etc/x", ".hidden"):
        one.objects.put(f"uploads/{name.replace('.', '~2E').replace('/', '~2F')}~{'0' * 64}", b"evil")
    assert files(one) == {}
    assert not (one.root / "secret.key").exists()


def test_two_paths_that_cannot_be_in_one_folder_stop_nobody(hosts: Hosts) -> None:
    one, two = hosts
    upload(one, "a", b"1")
    assert two.objects is not None
    upload(two, "b", b"2")
    (two.root / "x").write_bytes(b"3")
    shared_uploads.put(two, "a/b.csv", two.root / "x", 1, "")
    assert set(files(one)) == {"a", "b"}


def test_without_a_store_nothing_is_done(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    upload(layout, "a.csv", b"1")
    shared_uploads.push(layout)
    assert (files(layout), (layout.uploads / ".copies.json").exists()) == ({"a.csv": b"1"}, False)
    shared_uploads.delete(layout, "a.csv")
    assert files(layout) == {}
