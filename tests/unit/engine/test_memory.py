"""Memory: what a run may still hold, and what of it a stage takes."""

from __future__ import annotations

import pytest

from service.engine.memory import RESERVE, Memory

MIB = 1 << 20


def test_what_is_held_and_the_reserve_of_passes_are_not_free() -> None:
    assert Memory(RESERVE + 300 * MIB, held=lambda: 100 * MIB).free() == 200 * MIB
    assert Memory(RESERVE, held=lambda: 100 * MIB).free() == 0


@pytest.mark.parametrize(
    ("free", "expected", "most"),
    [
        (200, None, 100), (200, 100, 100), (200, 101, 0), (0, None, 0), (0, 1, 0),
        (4096, None, 192), (4096, 512, 512), (4096, 513, 0),
    ],
)  # fmt: skip
def test_a_stage_takes_half_of_what_is_free(free: int, expected: int | None, most: int) -> None:
    memory = Memory(RESERVE + free * MIB, held=lambda: 0)
    assert memory.for_stage(None if expected is None else expected * MIB) == most * MIB


@pytest.mark.parametrize(
    ("free", "columns", "part"), [(4096, 20, 64), (4096, 5_000, 156), (256, 5_000, 32), (0, 20, 16)]
)
def test_parts_of_many_columns_are_larger(free: int, columns: int, part: int) -> None:
    assert Memory(RESERVE + free * MIB, held=lambda: 0).for_part(columns) // MIB == part
