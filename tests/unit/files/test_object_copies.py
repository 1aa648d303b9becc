"""Copies of the objects that a configuration names: what names mean, what is refused, and objects that change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from service.files import object_copies
from service.files.allowed_files import Files, ObjectCopy
from service.files.object_copies import Named
from service.files.object_store import ObjectStore
from service.kit import errors
from tests import object_stores

Servers = Callable[[str], Mapping[str, str]]
KEYS = (
    "in/a.csv",
    "in/b.csv",
    "in/deep/c.csv",
    "in/.hidden.csv",
    "in/[x].csv",
    "in/x.csv",
    "in/a b.csv",
    "other/a.csv",
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with object_stores.servers() as found:
        yield found


class Bucket:
    """A bucket with objects, of which ``in`` may be read."""

    def __init__(self, kind: str, work: Path) -> None:
        self.url = f"{kind}://{object_stores.BUCKET}/{work.name}"
        self.store, self.work = ObjectStore(self.url, seconds=5), work
        for key in KEYS:
            self.store.put(key, key.encode())

    def copied(
        self, *names: str, most_bytes: int | None = None, go_on: Callable[[], None] = lambda: None
    ) -> dict[str, tuple[ObjectCopy, ...]]:
        named = [Named("collectors[0]", "file_path", f"{self.url}/{name}") for name in names]
        files = Files((), buckets=(f"{self.url}/in",))
        return object_copies.copied(named, files, self.work, seconds=5, most_bytes=most_bytes, go_on=go_on)

    def texts(self, name: str) -> Sequence[str]:
        return [Path(copy.path).read_text() for copy in self.copied(name)[f"{self.url}/{name}"]]


@pytest.fixture(params=object_stores.KINDS)
def bucket(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    for name, value in servers(request.param).items():
        monkeypatch.setenv(name, value)
    made = Bucket(request.param, tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("in/a.csv", ["in/a.csv"]),
        ("in/[x].csv", ["in/[x].csv"]),
        ("in/[ab].csv", ["in/a.csv", "in/b.csv"]),
        ("in/a b.csv", ["in/a b.csv"]),
        ("in/?.csv", ["in/a.csv", "in/b.csv", "in/x.csv"]),
        ("in/*/*.csv", ["in/deep/c.csv"]),
        ("in/**/[abc].csv", ["in/a.csv", "in/b.csv", "in/deep/c.csv"]),
    ],
)
def test_a_name_means_the_object_with_this_key_or_those_that_match(name: str, keys: list[str], bucket: Bucket) -> None:
    assert bucket.texts(name) == keys


def test_copies_have_the_names_of_their_objects_and_are_shown_as_them(bucket: Bucket) -> None:
    copies = bucket.copied("in/a.csv", "in/*.csv")
    files = Files((), copies=copies)
    (one,), many = (files.resolve(f"{bucket.url}/{name}", "collectors[0]") for name in ("in/a.csv", "in/*.csv"))
    assert one in many  # one copy of an object, however many names mean it
    assert (one.name, files.shown(one)) == ("a.csv", f"{bucket.url}/in/a.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other/a.csv", "PENSTOCK_FILE_ROOTS"),
        ("inner/a.csv", "PENSTOCK_FILE_ROOTS"),
        ("in/../other/a.csv", "names no object"),
        ("*/a.csv", "PENSTOCK_FILE_ROOTS"),
        ("in/none.csv", "there is no object"),
        ("in/none-*.csv", "there is no object"),
        ("in/${KEY}.csv", "credentials come from the environment"),
    ],
)
def test_a_name_that_is_refused(name: str, text: str, bucket: Bucket) -> None:
    with pytest.raises(errors.Permanent, match=text) as raised:
        bucket.copied(name)
    assert (raised.value.details["step"], raised.value.details["field"]) == ("collectors[0]", "file_path")


def test_a_bucket_that_does_not_exist_has_no_objects(bucket: Bucket) -> None:
    name = f"{bucket.url.partition('://')[0]}://no-such-bucket/a.csv"
    files = Files((), buckets=(name.removesuffix("/a.csv"),))
    with pytest.raises(errors.Permanent, match="there is no object"):
        object_copies.copied([Named("collectors[0]", "file_path", name)], files, bucket.work, seconds=5)


def test_an_object_that_is_replaced_while_it_is_read_fails_the_attempt(bucket: Bucket) -> None:
    bucket.store.put("in/large.csv", os.urandom(20 << 20))

    def replace() -> None:
        bucket.store.put("in/large.csv", os.urandom(20 << 20))

    with pytest.raises(errors.Transient, match="changed or deleted while it was read"):
        bucket.copied("in/large.csv", go_on=replace)


def test_an_object_of_several_blocks_is_copied_whole(bucket: Bucket) -> None:
    data = os.urandom((9 << 20) + 17)
    bucket.store.put("in/large.csv", data)
    (copy,) = bucket.copied("in/large.csv")[f"{bucket.url}/in/large.csv"]
    assert Path(copy.path).read_bytes() == data


def test_more_bytes_than_a_sample_may_have_are_not_copied(bucket: Bucket) -> None:
    with pytest.raises(errors.Permanent, match="previews and plans copy at most 0 MiB; name some"):
        bucket.copied("in/*.csv", most_bytes=10)
    assert not (bucket.work / object_copies.FOLDER).exists()


def test_a_sample_has_the_beginning_of_an_object_and_its_size(bucket: Bucket) -> None:
    name, whole = f"{bucket.url}/in/large.csv", f"{bucket.url}/in/l*.csv"
    data = os.urandom(9 << 20)
    bucket.store.put("in/large.csv", data)

    def copied(*named: Named) -> bytes:
        files = Files((), buckets=(bucket.url,))
        found = object_copies.copied(named, files, bucket.work, seconds=5, most_bytes=10 << 20, head_bytes=5 << 20)
        (copy,) = found[name]
        return Path(copy.path).read_bytes()

    begun = Named("collectors[0]", "file_path", name, from_head=True)
    assert copied(begun) == data[: 5 << 20] + bytes(4 << 20)
    for other in (name, whole):  # another collector reads all of it
        assert copied(Named("collectors[1]", "file_path", other), begun) == data


def test_a_glob_does_not_reach_into_the_warehouse(bucket: Bucket) -> None:
    name = f"{bucket.url}/**/a.csv"
    files = Files((), buckets=(bucket.url,), warehouse=f"{bucket.url}/other")
    copies = object_copies.copied([Named("collectors[0]", "file_path", name)], files, bucket.work, seconds=5)
    assert [copy.url for copy in copies[name]] == [f"{bucket.url}/in/a.csv"]


def test_a_key_that_is_too_long_for_a_file_keeps_its_end(bucket: Bucket) -> None:
    key = f"in/{'x' * 250}.csv"
    bucket.store.put(key, b"long")
    (copy,) = bucket.copied(key)[f"{bucket.url}/{key}"]
    assert (Path(copy.path).name, Path(copy.path).read_bytes(), copy.url) == (
        "object.csv",
        b"long",
        f"{bucket.url}/{key}",
    )
