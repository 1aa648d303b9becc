"""A store that cuts, throttles, loses answers or hangs in the middle of any call changes nothing that was committed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from service.kit import errors
from service.model.version import Version
from tests import object_stores
from tests.cutting_proxy import Action, CuttingProxy
from tests.unit.runs.stored import CLOCK, Installation

pytestmark = pytest.mark.services

LARGE = bytes(range(256)) * ((9 << 20) // 256)  # more than a block, so that it is written in parts
ONE = {"part-00000.parquet": b"one"}
TWO = {"part-00000.parquet": b"one", "part-00001.parquet": b"two", "part-00002.parquet": LARGE}

WRITES = [
    ("PUT", r"part-00001\.parquet$"),
    ("POST", r"part-00002\.parquet\?uploads"),
    ("PUT", r"part-00002\.parquet\?.*partNumber=1"),
    ("POST", r"part-00002\.parquet\?uploadId"),
    ("PUT", r"v000002-.*/manifest\.json"),
]
MARKS = [("PUT", r"v000002-.*/committed"), ("GET", r"current/shop\.json"), ("PUT", r"current/shop\.json")]
TROUBLES: list[Action] = ["cut request", "cut answer", "lose answer", "slow down", "hang"]


@pytest.fixture(scope="module")
def proxy() -> Iterator[CuttingProxy]:
    with object_stores.s3() as server, CuttingProxy(server.port).at_work() as found:
        yield found


@pytest.fixture
def shop(
    request: pytest.FixtureRequest, proxy: CuttingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """An installation that gives a request up after two seconds, or those of the test."""
    for name, value in object_stores.environment(proxy.port).items():
        monkeypatch.setenv(name, value)
    url = f"s3://{object_stores.BUCKET}/{tmp_path.name}"
    with Installation(tmp_path, url=url, seconds=getattr(request, "param", 2.0)) as installation:
        installation.create()
        yield installation


def whole(shop: Installation, *versions: Version) -> None:
    """These versions are there, whole, in the store; and no other."""
    found, total = shop.history.versions(shop.pipeline_id, limit=9, offset=0)
    assert (found, total) == (list(reversed(versions)), len(versions))
    shop.forget()
    for version in versions:
        names = [file.name for file in version.files]
        assert dict(zip(names, shop.read(version), strict=True)) == (ONE if version.version == 1 else TWO)


@pytest.mark.parametrize("shop", [20.0], indirect=True, ids=["patient"])  # megabytes on a busy machine
@pytest.mark.parametrize("action", [a for a in TROUBLES if a != "hang"])
def test_trouble_that_passes_is_not_noticed(proxy: CuttingProxy, shop: Installation, action: Action) -> None:
    versions = []
    for number, parts in enumerate((ONE, TWO), 1):
        troubles = [proxy.trouble(action, method, path, times=1) for method, path in (*WRITES, *MARKS)]
        entered = [trouble.__enter__() for trouble in troubles]
        try:
            versions.append(shop.publish(f"run_{number}", parts))
        finally:
            for trouble in troubles:
                trouble.__exit__(None, None, None)
    assert [one.seen for one in entered] == [1] * len(entered)
    whole(shop, *versions)
    assert shop.verify().findings == []
    shop.upkeep.sweep()
    assert len(shop.objects_there()) == 3 + 4 + 1  # of the first version, of the second, current


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("action", ["cut request", "lose answer", "slow down", "hang"])
def test_trouble_before_the_commit_leaves_the_version_before(
    proxy: CuttingProxy, shop: Installation, action: Action, method: str, path: str
) -> None:
    first = shop.publish("run_1", ONE)
    began = time.monotonic()
    with proxy.trouble(action, method, path) as trouble, pytest.raises(errors.Unavailable) as failed:
        shop.publish("run_2", TWO)
    assert trouble.seen
    assert time.monotonic() - began < 30
    assert failed.value.error_code == "STORE_UNAVAILABLE"
    assert "127.0.0.1" not in str(failed.value)
    whole(shop, first)
    shop.history.change_run(
        msgspec.structs.replace(shop.history.run("run_2"), status="failed", end_time=CLOCK.now())
    )  # fmt: skip
    shop.upkeep.sweep()
    assert {key.split("/")[1] for key in shop.objects_there() if key.startswith("shop/")} == {"v000001-run_1-1"}
    whole(shop, first, shop.publish("run_3", TWO))
    assert shop.verify().findings == []


@pytest.mark.parametrize(("method", "path"), MARKS)
@pytest.mark.parametrize("action", ["lose answer", "hang"])
def test_trouble_after_the_commit_is_made_good_later(
    proxy: CuttingProxy, shop: Installation, action: Action, method: str, path: str
) -> None:
    first = shop.publish("run_1", ONE)
    with proxy.trouble(action, method, path) as trouble:
        second = shop.publish("run_2", TWO)
    assert trouble.seen
    whole(shop, first, second)
    shop.upkeep.sweep()
    assert shop.objects is not None
    assert msgspec.json.decode(shop.objects.read("current/shop.json")[0])["version"] == 2
    assert "shop/v000002-run_2-1/committed" in shop.objects_there()


@pytest.mark.parametrize("action", TROUBLES)
def test_trouble_while_a_version_is_fetched_is_an_answer_and_no_half_file(
    proxy: CuttingProxy, shop: Installation, action: Action
) -> None:
    shop.publish("run_1", ONE)
    second = shop.publish("run_2", TWO)
    shop.forget()
    if action != "hang":
        with proxy.trouble(action, "GET", r"part-00002", times=1) as trouble:
            assert shop.read(second) == list(TWO.values())
        assert trouble.seen
        shop.forget()
    with proxy.trouble(action, "GET", r"part-00002"), pytest.raises(errors.Unavailable) as failed:
        shop.read(second)
    assert failed.value.error_code == "STORE_UNAVAILABLE"
    folder = shop.layout.version("shop", 2)
    assert not (folder / "part-00002.parquet").exists()
    assert not [path for path in shop.layout.staging_root.rglob("*") if path.is_file()]
    assert shop.integrity.damaged() == []
    assert shop.read(second) == list(TWO.values())
