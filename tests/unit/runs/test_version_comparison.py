"""The question between two versions: its key, and the parts that need not be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.files.layout import Layout
from service.jobs.tasks.task import Comparing
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.version import Column, Version
from service.runs import version_comparison
from service.steps.storage import File

LAYOUT = Layout(Path("/data"))
KEYED = {"storage": [{"type": "parquet"}, {"type": "duckdb", "primary_key": "id"}]}
MERGED = {"storage": [{"type": "parquet", "mode": "merge", "key": ["id", "day"]}]}


def version(number: int, *contents: str, columns: str = "id day price") -> Version:
    files = [File(f"part-{i:05d}.parquet", 10, 5, content) for i, content in enumerate(contents)]
    return Version(
        pipeline="orders", version=number, run_id=f"run_{number}", revision=1, table="orders", rows=5, bytes=10,
        columns=[Column(name, "Int64") for name in columns.split()], files=files, sources=[],
        created=FixedClock().now(),
    )  # fmt: skip


def ask(before: Version, after: Version, documents: tuple[Any, Any], key: list[str] | None = None) -> Comparing:
    return version_comparison.comparing(LAYOUT, before, after, documents, key=key, limit=5)


def test_the_primary_key_is_the_default() -> None:
    one, other = version(1, "a"), version(2, "b")
    assert ask(one, other, (KEYED, KEYED)).key == ("id",)
    assert ask(one, other, ({}, MERGED)).key == ("id", "day")
    assert ask(one, other, (KEYED, {})).key == ()
    assert ask(one, other, (KEYED, KEYED), ["price"]).key == ("price",)
    assert ask(version(1, "a", columns="price"), other, (KEYED, KEYED)).key == ()


def test_shared_parts_are_not_compared_if_keys_are_unique() -> None:
    one, other = version(1, "a", "b", "b"), version(2, "a", "b", "c")
    task = ask(one, other, (KEYED, KEYED))
    folder = "/data/warehouse/orders"
    assert task.unique
    assert task.shared == (f"{folder}/v000002/part-00000.parquet", f"{folder}/v000002/part-00001.parquet")
    assert task.before.parts == (f"{folder}/v000001/part-00002.parquet",)
    assert task.after.parts == (f"{folder}/v000002/part-00002.parquet",)
    assert set(version_comparison.readable(task)["versions"].parts) == {
        *task.shared,
        *task.before.parts,
        *task.after.parts,
    }
    assert len(ask(one, other, ({}, {})).shared) == 2


@pytest.mark.parametrize("documents", [({}, KEYED), (KEYED, {"storage": [{"type": "parquet", "key": "id"}]})])
def test_all_parts_are_compared_if_a_key_may_be_repeated(documents: tuple[Any, Any]) -> None:
    task = ask(version(1, "a"), version(2, "a"), documents, ["id"])
    assert (task.unique, task.shared) == (False, ())


def test_columns_of_the_key() -> None:
    assert version_comparison.key_columns(" a, b") == ["a", "b"]
    for text in ("", "a,", "a,a"):
        with pytest.raises(errors.Invalid, match=r"^key: "):
            version_comparison.key_columns(text)
