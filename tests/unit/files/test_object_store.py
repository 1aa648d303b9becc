"""One meaning of all object stores: the same tests over a folder and servers that speak as S3, Google and Azure do."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from service.files import object_store
from service.files.object_store import Changed, DamagedObject, NoObject, ObjectStore
from service.kit import errors
from tests import object_stores

Servers = Callable[[str], Mapping[str, str]]
LARGE = (8 << 20) * 2 + 12_345


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with object_stores.servers() as found:
        yield found


@pytest.fixture(params=["file", *object_stores.KINDS])
def store(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    if request.param == "file":
        url = f"file://{tmp_path}/a store"
    else:
        for name, value in servers(request.param).items():
            monkeypatch.setenv(name, value)
        url = f"{request.param}://{object_stores.BUCKET}/{tmp_path.name}"
    opened = ObjectStore(url, seconds=5)
    opened.check()
    yield opened
    opened.close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(one.key for one in store.list(prefix))


def test_an_object_is_what_was_written(store: ObjectStore) -> None:
    store.put("a/b/one", b"1")
    store.put("a/b/one", b"11")
    store.put("a/two", b"")
    data, _ = store.read("a/b/one")
    assert (data, store.read("a/two")[0], keys(store), keys(store, "a/b/")) == (b"11", b"", ["a/b/one", "a/two"],
                                                                               ["a/b/one"])  # fmt: skip
    assert [one.bytes for one in store.list("a/b/")] == [2]


def test_what_is_not_there_has_one_error_and_can_be_deleted(store: ObjectStore) -> None:
    with pytest.raises(NoObject):
        store.read("none")
    with pytest.raises(NoObject):
        store.fetch("none", io.BytesIO(), 3, "")
    store.put("kept", b"1")
    store.put("a/gone", b"1")
    store.delete(["none", "a/gone", "a/gone"])
    store.delete([])
    assert keys(store) == ["kept"]


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_file_is_compared_on_its_way_to_the_store_and_back(store: ObjectStore, tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    path, back = tmp_path / "part", tmp_path / "back"
    path.write_bytes(data := data[:size])
    store.put_file("p/part", path, size, sha(data))
    with back.open("wb") as out:
        store.fetch("p/part", out, size, sha(data))
    assert back.read_bytes() == data
    store.checksum("p/part", size, sha(data))
    if size:
        with pytest.raises(DamagedObject):
            store.checksum("p/part", size, sha(b"other"))
        with pytest.raises(DamagedObject), back.open("wb") as out:
            store.fetch("p/part", out, size + 1, "")


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_file_that_is_not_as_recorded_becomes_no_object(store: ObjectStore, tmp_path: Path, size: int) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"x" * size)
    for recorded, checksum in ((size, sha(b"other")), (size + 1, sha(b"x" * size))):
        with pytest.raises(DamagedObject):
            store.put_file("p/part", path, recorded, checksum)
    with pytest.raises(OSError, match="No such file"):
        store.put_file("p/part", tmp_path / "absent", size, "")
    assert keys(store) == []


def test_of_eight_who_create_an_object_one_does(store: ObjectStore) -> None:
    def create(number: int) -> bool:
        try:
            store.create("only", b"%d" % number)
        except Changed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert (won.count(True), store.read("only")[0]) == (1, b"%d" % won.index(True))
    store.create("only", b"%d" % won.index(True))  # the same again, as after an answer that was lost


def test_an_object_is_replaced_by_those_who_have_read_the_present_one(store: ObjectStore) -> None:
    store.put("current", b"1")
    _, etag = store.read("current")
    store.replace("current", b"2", etag)
    with pytest.raises(Changed):
        store.replace("current", b"3", etag)
    assert store.read("current")[0] == b"2"


def test_names_become_keys_that_no_store_reads_otherwise(store: ObjectStore) -> None:
    names = ["city=São Paulo/part-0.parquet", "city=a%2Fb/part-0.parquet", "city=a~2Fb/part-0.parquet", "a b#?&+"]
    safe = [object_store.safe_key(name) for name in names]
    for key in safe:
        store.put(key, b"x")
    assert keys(store) == sorted(safe)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "s3://", "s3://key:secret@bucket/x", "s3://bucket?sse=secret", "file://relative/x", "file:///", "s3"],
)
def test_a_url_that_is_not_one_of_a_store_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        ObjectStore(url)
    assert "secret" not in str(refused.value)
    assert refused.value.details["field"] == "PENSTOCK_WAREHOUSE_URL"


def test_a_folder_and_the_data_directory_are_apart_however_they_are_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    for folder in (data, data / "x", tmp_path, tmp_path / "link" / "x", Path(f"{tmp_path}/y/../data/x")):
        with (
            pytest.raises(errors.Invalid, match="must not contain each other"),
            object_store.opened(f"file://{folder}", 1.0, data),
        ):
            pass
    with (
        pytest.raises(errors.Invalid, match="must not contain each other"),
        object_store.opened(f"file://{data}/x", 1.0, tmp_path / "link"),
    ):
        pass
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
def test_a_store_without_tls_is_asked_under_each_name_of_its_address(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_stores.environment(1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    class Empty(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}")
        store = ObjectStore("s3://bucket/x", seconds=5)
        assert store.size("absent") is None
        store.close()
        server.shutdown()


def test_a_store_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: object) -> None:
    for name, value in object_stores.environment(1).items():
        monkeypatch.setenv(name, value)
    store = ObjectStore("s3://bucket/x", seconds=0.2)
    with pytest.raises(errors.Unavailable) as gone:
        store.put("a", b"1")
    with pytest.raises(errors.Unavailable):
        store.check()
    assert (gone.value.error_code, "127.0.0.1" in str(gone.value)) == ("STORE_UNAVAILABLE", False)


def test_a_store_that_is_closed_tries_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in object_stores.environment(1).items():
        monkeypatch.setenv(name, value)
    store, tries = ObjectStore("s3://bucket/x", seconds=600), list[int]()

    class Broken(Exception):
        pass

    monkeypatch.setattr("obstore.exceptions.BaseError", Broken)

    def put(*_: object, **__: object) -> None:
        tries.append(1)
        store.close()
        raise Broken

    monkeypatch.setattr("obstore.put", put)
    with pytest.raises(errors.Unavailable):
        store.put("a", b"1")
    assert len(tries) == 1


@pytest.mark.parametrize("kind", object_stores.KINDS)
def test_a_bucket_that_does_not_exist_is_refused(kind: str, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in servers(kind).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.Invalid, match="a bucket that does not exist"):
        ObjectStore(f"{kind}://another/folder", seconds=5).check()


def test_whoever_has_no_store_imports_nothing_of_it() -> None:
    code = "import sys, service.bootstrap, service.files.object_store; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
