"""The pins of ``.ci/constraints.txt`` go together, whichever Python they are installed with."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_constraints_can_be_installed_with_every_python(version: str) -> None:
    """What a pinned package wants of another depends on the Python: each of them has a pin that fits."""
    lines = [Requirement(line) for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()]
    around = {"python_version": version, "python_full_version": f"{version}.0", "extra": ""}
    pins = {canonicalize_name(r.name): r for r in lines if r.marker is None or r.marker.evaluate(around)}
    unmet, looked_at = [], 0
    for name in sorted(pins):
        for wanted in map(Requirement, _wishes(name)):
            pin = pins.get(canonicalize_name(wanted.name))
            if pin is None or (wanted.marker is not None and not wanted.marker.evaluate(around)):
                continue
            looked_at += 1
            pinned = next(iter(pin.specifier)).version
            if not wanted.specifier.contains(pinned, prereleases=True):
                unmet.append(f"{name} wants {wanted}, pinned is {pinned}")
    assert unmet == []
    assert looked_at > 50


def _wishes(name: str) -> list[str]:
    """What an installed package requires; nothing of one that only other Pythons have."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
