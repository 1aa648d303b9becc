"""The look at the licences of a bill of materials (``.ci/licences.py``)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CI = Path(__file__).resolve().parent.parent.parent / ".ci"


@pytest.fixture(scope="module")
def looking() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", CI / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def component(*texts: str, name: str = "polars", version: str = "2.1.0") -> dict[str, Any]:
    licences = [{"expression": t} if " " in t and "::" not in t else {"license": {"name": t}} for t in texts]
    return {"name": name, "version": version, "licenses": licences}


@pytest.mark.parametrize(
    ("texts", "fits"),
    [
        (["MIT"], True), (["MIT OR GPL-3.0-only"], True), (["GPL-3.0-only"], False), (["MIT", "GPL-3.0-only"], False),
        (["Apache-2.0 AND BSD-2-Clause"], True), (["Apache-2.0 AND GPL-2.0-only"], False), ([], False),
        (["License :: OSI Approved :: BSD License"], True), (["License :: OSI Approved :: GNU GPL"], False),
        (["MPL-2.0", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"], True),
    ],
)  # fmt: skip
def test_a_licence_lets_anybody_run_and_ship_it(looking: ModuleType, texts: list[str], fits: bool) -> None:
    bill = {"components": [component(*texts)]}
    assert (looking.problems(bill, {"polars": {"2.1.0"}}) == []) is fits


def test_a_version_that_is_not_pinned_is_told(looking: ModuleType) -> None:
    pinned = looking.pins("polars==2.1.0\nruff==1 ; python_version < '3.12'\nruff==2 ; python_version >= '3.12'\n")
    assert pinned == {"polars": {"2.1.0"}, "ruff": {"1", "2"}}
    bill = {"components": [component("MIT"), component("MIT", version="2.2.0"), component("MIT", name="new")]}
    assert [line.partition(" is ")[0] for line in looking.problems(bill, pinned)] == ["polars 2.2.0", "new 2.1.0"]


def test_a_licence_that_somebody_read_is_of_a_package_that_is_pinned(looking: ModuleType) -> None:
    pinned = looking.pins((CI / "constraints.txt").read_text())
    assert set(looking.READ) | set(looking.EXCHANGEABLE) <= set(pinned)


def test_a_library_that_can_be_exchanged_has_the_licence_that_is_known_of_it(looking: ModuleType) -> None:
    pinned = {"psycopg": {"3"}, "other": {"3"}}

    def wrong(name: str, licence: str) -> bool:
        return bool(looking.problems({"components": [component(licence, name=name, version="3")]}, pinned))

    assert not wrong("psycopg", "LGPL-3.0-only")
    assert wrong("psycopg", "GPL-3.0-only")
    assert wrong("other", "LGPL-3.0-only")


def test_what_is_looked_at_is_what_the_images_have() -> None:
    extras = re.compile(r"'(?:\.|penstock)\[([\w,]+)\]'")
    (looked,) = extras.findall((CI / "sbom").read_text())
    images = {name for found in extras.findall((CI.parent / "Containerfile").read_text()) for name in found.split(",")}
    assert set(looked.split(",")) == images
