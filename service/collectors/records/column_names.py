"""Unique, non-empty column names from a header."""

from __future__ import annotations

from collections.abc import Sequence


def unique(header: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A name for each field, and the new names of repeated fields, by the name they repeat."""
    names: list[str] = []
    taken, header_names = set[str](), set(header)
    numbers, renamed = dict[str, int](), dict[str, list[str]]()
    for index, field in enumerate(header):
        name = field or f"column_{index + 1}"
        number, free = numbers.get(name, 1), name if name not in taken else ""
        while not free or free in taken or (number > 1 and free in header_names):
            number += 1
            free = f"{name}_{number}"
        numbers[name] = number
        if free != name:
            renamed.setdefault(name, []).append(free)
        names.append(free)
        taken.add(free)
    return names, renamed
