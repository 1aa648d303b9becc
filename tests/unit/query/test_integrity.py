"""Files that are missing are damage, unless their version or their native table was removed from the catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.version import Version
from service.query.integrity import Integrity
from service.steps.storage import File

VERSION = Version(
    pipeline="shop", version=1, run_id="run_1", revision=1, table="shop", rows=1, bytes=1, columns=[],
    files=[File("part.parquet", 4, 1, "")], native=File("shop.duckdb", 6, 1, ""), sources=[],
    created=FixedClock().now(),
)  # fmt: skip


def integrity(root: Path, present: Callable[[Version], Version | None]) -> Integrity:
    return Integrity(Layout(root), present)


def test_the_files_of_a_deleted_version_are_not_damaged(tmp_path: Path) -> None:
    deleted = integrity(tmp_path, lambda _: None)
    with pytest.raises(errors.Missing) as raised:
        deleted.checked(VERSION)
    assert raised.value.error_code == "VERSION_NOT_FOUND"
    assert deleted.damaged() == []
    damaged = integrity(tmp_path, lambda version: version)
    with pytest.raises(errors.PenstockError, match="damaged"):
        damaged.checked(VERSION)
    assert damaged.damaged() == ["shop@1"]


@pytest.mark.parametrize("expired", [True, False])
def test_a_native_table_that_expired_is_not_built_again(tmp_path: Path, expired: bool) -> None:
    folder = Layout(tmp_path).version("shop", 1)
    folder.mkdir(parents=True)
    (folder / "part.parquet").write_bytes(b"rows")
    native = None if expired else VERSION.native
    made = integrity(tmp_path, lambda version: msgspec.structs.replace(version, native=native))
    rebuilt: list[Version] = []
    made.on_damaged_native = rebuilt.append
    assert made.checked(VERSION) == msgspec.structs.replace(VERSION, native=None)
    assert rebuilt == ([] if expired else [VERSION])
