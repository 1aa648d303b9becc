"""A plan estimates what the categories of fits hold, and refuses what is certain to exceed the memory of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.engine.memory import RESERVE
from service.jobs import category_estimate, fitted_size
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.tasks.plan import Planner
from service.jobs.tasks.task import Planning
from tests.examples import examples

ROWS = 40_000
METHODS: list[dict[str, Any]] = [
    {"method": "ordinal"}, {"method": "binary"}, {"method": "frequency"}, {"method": "target", "target": "t"},
]  # fmt: skip


def planned(folder: Path, encode: dict[str, Any], *before: dict[str, Any], room: int | None = None) -> dict[str, Any]:
    """The plan of an encoding of ``c`` where a run has ``room`` bytes for it."""
    (folder / "run").mkdir()
    job = Job(
        Grants(folder=str(folder / "run"), memory_bytes=0, file_roots=(str(folder),)), structlog.get_logger("test")
    )
    step = {"type": "transformer", "config": {"encode": {"c": encode}}}
    document = {
        "name": "p", "collectors": [{"type": "parquet", "file_path": "rows.parquet"}], "processors": [*before, step],
    }  # fmt: skip
    limit = 1 << 40 if room is None else room + RESERVE
    answer = Planner(Planning(document=document, run_memory_bytes=limit), job).plan()
    return dict(msgspec.json.decode(answer))


def write(folder: Path, values: int, rows: int = ROWS) -> None:
    number = pl.int_range(rows, eager=True)
    text = pl.format("a category of some thirty bytes {}", pl.Series("i", number.hash() % values))
    pl.DataFrame({"t": number}).with_columns(c=text).write_parquet(folder / "rows.parquet")


@pytest.mark.parametrize("encode", METHODS, ids=lambda setting: str(setting["method"]))
def test_many_categories_are_refused_before_a_run(encode: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, 10**9, rows=600_000)
    plan = planned(tmp_path, encode, room=0)
    (problem,) = plan["problems"]
    assert problem["field"] == "processors[0].config.encode.c"
    assert "categories need about" in problem["message"]
    assert "method hash" in problem["message"]
    assert plan["steps"][0]["held_bytes"] > 100 << 20
    assert plan["memory_limit_bytes"] > 0


def test_what_is_not_certain_is_a_warning(tmp_path: Path) -> None:
    """A filter before may take rows out that the first ones do not show."""
    write(tmp_path, 10**9, rows=600_000)
    plan = planned(tmp_path, METHODS[0], {"type": "cleaner", "config": {"filter": "t >= 0"}}, room=0)
    assert plan["problems"] == []
    (warning,) = plan["warnings"]
    assert (warning["step"], warning["code"]) == ("processors[1]", "needs_memory")
    details = warning["details"]
    assert details["field"] == "processors[1].config.encode.c"
    assert details["needed_bytes"] > details["limit_bytes"] - RESERVE >= 0


@pytest.mark.parametrize("encode", METHODS[1:3], ids=lambda setting: str(setting["method"]))
def test_what_a_version_does_not_keep_is_a_warning(
    encode: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 20_000)
    monkeypatch.setattr(fitted_size, "MOST", 500_000)
    plan = planned(tmp_path, encode)
    assert plan["problems"] == []
    (warning,) = plan["warnings"]
    assert (warning["step"], warning["code"]) == ("processors[0]", "needs_memory")
    assert "of the parameters of a version, which keeps at most" in warning["message"]


@pytest.mark.parametrize("values", [3, 200, 20_000])
def test_what_fits_is_estimated(values: int, tmp_path: Path) -> None:
    write(tmp_path, values)
    plan = planned(tmp_path, METHODS[0])
    assert (plan["problems"], plan["warnings"]) == ([], [])
    found = pl.read_parquet(tmp_path / "rows.parquet")["c"].n_unique()
    assert 0.5 < plan["steps"][0]["held_bytes"] / (found * (180 + 4 * 36)) < 1.5


def test_missing_values_are_not_values_that_came_again(tmp_path: Path) -> None:
    write(tmp_path, 10**9)
    rows = pl.read_parquet(tmp_path / "rows.parquet").with_columns(c=pl.when(pl.col("t") % 10 > 0).then("c"))
    rows.write_parquet(tmp_path / "rows.parquet")
    held = planned(tmp_path, METHODS[0])["steps"][0]["held_bytes"]
    assert 0.8 < held / (rows["c"].n_unique() * (180 + 4 * 36)) < 1.2


@pytest.mark.parametrize(
    ("before", "certain"),
    [
        ([], True),
        ([{"type": "analyzer", "config": {}}], True),
        ([{"type": "cleaner", "config": {"filter": "t > 5"}}], False),
    ],
)
def test_more_columns_than_there_may_be(before: list[dict[str, Any]], certain: bool, tmp_path: Path) -> None:
    write(tmp_path, 10**9)
    plan = planned(tmp_path, {"method": "onehot"}, *before)
    texts = [problem["message"] for problem in plan["problems"]]
    others = [warning["message"] for warning in plan["warnings"]]
    assert "more than 1000 categories" in (texts if certain else others)[0]
    assert len(texts) + len(others) == 1


@examples(50)
@given(st.integers(1, 10**6), st.integers(1, 10_000), st.floats(0, 1))
def test_an_estimate_lies_between_what_was_seen_and_all_rows(rows: int, sample: int, share: float) -> None:
    found = max(1, round(share * min(sample, rows)))
    assert found <= category_estimate._in_all(found, min(sample, rows), rows) <= max(found, rows)
