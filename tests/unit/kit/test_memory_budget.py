"""Limits times concurrency add up to the memory that there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kit import memory_budget
from service.kit.memory_budget import MIB, SMALLEST_RUN

GIB = 1024 * MIB


@given(
    st.integers(2 * GIB, 512 * GIB),
    st.integers(1, 256),
    st.integers(1, 64),
    st.dictionaries(
        st.sampled_from(["run_memory_limit", "query_memory_limit"]), st.integers(SMALLEST_RUN, GIB), max_size=2
    ),
)
def test_children_never_hold_more_than_the_memory(memory: int, runs: int, queries: int, given: dict[str, int]) -> None:
    budget = memory_budget.divide(memory, runs=runs, queries=queries, tasks=7, given=given)
    one_of_each = budget._replace(runs=1, queries=1, tasks=2)
    assert budget.total <= max(memory, one_of_each.total)
    assert 1 <= budget.runs <= runs
    assert 1 <= budget.queries <= queries
    assert budget.run_bytes >= SMALLEST_RUN
    for name, size in given.items():
        assert size == (budget.run_bytes if name == "run_memory_limit" else budget.query_bytes)


def test_eight_runs_do_not_fit_into_two_gigabytes() -> None:
    budget = memory_budget.divide(2 * GIB, runs=8, queries=4, tasks=7, given={})
    assert budget.runs < 8
    assert budget.total <= 2 * GIB


def test_the_memory_is_that_of_the_machine_or_less() -> None:
    assert 0 < memory_budget.available() <= 1 << 50


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/system.slice/penstock.service", "system.slice/memory.max"),
        ("0::/system.slice/penstock.service", "system.slice/penstock.service/memory.max"),
        ("4:cpu,memory:/docker/abc\n1:cpu:/x\n0::/", "memory/docker/abc/memory.limit_in_bytes"),
        ("0::/../../elsewhere", "memory.max"),
    ],
)
def test_the_limit_of_every_cgroup_above_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, file: str
) -> None:
    """A service of systemd, or a process below the root of its container, has a limit that is not at the root."""
    monkeypatch.setattr(memory_budget, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory_budget, "_OWN_CGROUPS", tmp_path / "own")
    (tmp_path / "own").write_text(own)
    before = memory_budget.available()
    limit = tmp_path / "cgroup" / file
    limit.parent.mkdir(parents=True)
    limit.write_text("max\n")
    assert memory_budget.available() == before
    limit.write_text(f"{GIB}\n")
    assert memory_budget.available() == GIB
