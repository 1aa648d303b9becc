"""Sorts and windows that exceed the memory of the run go through files, and answer what they answer in memory."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from service.engine import spill
from service.engine.memory import Memory

LITTLE = Memory(1, held=lambda: 1)
ROW = pl.int_range(400_000, eager=True)
HASH = ROW.hash()
NAN = float("nan")


def table() -> pl.LazyFrame:
    number = (HASH % 977).cast(pl.Float64) / 7
    frame = pl.DataFrame({"r": ROW, "k": (HASH % 1000).cast(pl.Int32), "d": (HASH % 5000).cast(pl.Int32)})
    return frame.lazy().with_columns(
        f=pl.when(pl.col("r") % 11 == 0).then(None).when(pl.col("r") % 13 == 0).then(NAN).otherwise(number),
        t=pl.when(pl.col("r") % 19 == 0).then(None).otherwise(pl.format("a text of some length {}", HASH % 50_000)),
        l=pl.concat_list("k", "d"),
        c=(HASH % 40).cast(pl.String).cast(pl.Categorical),
    )


def plans(lf: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    number = pl.col("f").fill_nan(None)
    ordered: dict[str, Any] = {"order_by": ["d"], "nulls_last": True}
    return {
        "texts": lf.sort(["t"], descending=[True], nulls_last=True, maintain_order=True),
        "numbers": lf.sort([number, "k"], descending=[True, False], nulls_last=True, maintain_order=True),
        "categories": lf.sort(["c", "f"], descending=[True, False], nulls_last=True, maintain_order=True),
        "windows": lf.with_columns(x=pl.col("r").cum_sum().over("k", **ordered), y=pl.len().over("t")),
        "fills": lf.with_columns(x=pl.col("t").forward_fill().over(["c"], **ordered)),
        "one group": lf.with_columns(x=pl.col("l").shift(1).over(None, **ordered)),
        "groups": lf.group_by("t", maintain_order=True).agg(pl.col("r").sum(), pl.col("l").first()),
    }


def _spilled(folder: str, name: str) -> None:
    spill._LEAST = 1 << 20
    plan = plans(table())[name]
    wanted = plan.collect(engine="streaming")
    for run in ("first", "second"):  # in one process, as by a worker that is kept
        with spill.into(Path(folder) / "spilled", LITTLE, again=True):
            made = Path(folder) / f"{run}.parquet"
            plan.sink_parquet(made, engine="streaming")
        assert_frame_equal(pl.read_parquet(made), wanted, categorical_as_str=True)
    assert list((Path(folder) / "spilled").iterdir()), "nothing was spilled"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(plans(pl.LazyFrame(schema=table().collect_schema()))))
def test_what_spills_answers_as_in_memory(name: str, tmp_path: Path) -> None:
    """In a process of its own, as Polars remembers the folder."""
    child = multiprocessing.get_context("spawn").Process(target=_spilled, args=(str(tmp_path), name))
    child.start()
    child.join(300)
    assert child.exitcode == 0


def test_what_is_held_meanwhile_leaves_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[str | None] = []

    def set_(environment: dict[str, str | None]) -> None:
        budgets.append(environment["POLARS_OOC_MEMORY_BUDGET_MB"])
        monkeypatch.setenv("POLARS_OOC_MEMORY_BUDGET_MB", budgets[-1] or "")

    monkeypatch.setattr(spill, "_set", set_)
    held = [0]
    memory = Memory(2 << 30, held=lambda: held[0])
    with spill.into(tmp_path / "spilled", memory):
        for mib in (8, 500, 1500, 4):
            held[0] = mib << 20
            spill.refresh(memory)
        assert budgets == ["1299", "949", "249", "1296"], "8 MiB are not worth the time"


def test_a_run_leaves_neither_the_folder_nor_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_: list[dict[str, str | None]] = []
    monkeypatch.setattr(spill, "_set", set_.append)
    with spill.into(tmp_path / "spilled", Memory(2 << 30, held=lambda: 0)):
        assert (tmp_path / "spilled").is_dir()
    assert not (tmp_path / "spilled").exists()
    first, last = set_
    assert first == {"POLARS_OOC_MEMORY_BUDGET_MB": "1299", "POLARS_OOC_SPILL_DIR": str(tmp_path / "spilled")}
    assert last == dict.fromkeys(first)
