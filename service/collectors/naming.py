"""Naming: the columns of a file by its header, each a name of its own."""

from __future__ import annotations

from collections.abc import Sequence


def unique(header: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The names of the columns, and by name what those after the first of that name are called instead.

    An empty field is ``column_<place>``; a number that is added never makes a name that the header has.
    """
    names: list[str] = []
    taken, given_names = set[str](), set(header)
    numbers, renamed = dict[str, int](), dict[str, list[str]]()
    for index, given in enumerate(header):
        name = given or f"column_{index + 1}"
        number, free = numbers.get(name, 1), "" if name in taken else name
        while not free or free in taken or (number > 1 and free in given_names):
            number += 1
            free = f"{name}_{number}"
        numbers[name] = number
        if free != name:
            renamed.setdefault(name, []).append(free)
        names.append(free)
        taken.add(free)
    return names, renamed
