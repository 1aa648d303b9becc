"""The files of the console: they name each other rightly, hold nothing of elsewhere, and are what their makers say."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from service.console import site

STATIC = Path(site.__file__).parent / "static"
VENDOR = STATIC / "vendor"
OURS = sorted(path for path in STATIC.rglob("*.js") if VENDOR not in path.parents)
MAP = json.loads(re.search(r'<script type="importmap">(.*?)</script>', site.page().content.decode())[1])["imports"]  # type: ignore[index]


def test_the_page_asks_for_nothing_of_elsewhere() -> None:
    text = site.page().content.decode()
    assert "http" not in text.lower().replace("http-equiv", "")
    assert re.findall(r"<script(?![^>]* src=)[^>]*>", text) == ['<script type="importmap">']
    for asked in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert asked.removeprefix("/console/assets/") in site.assets()


def test_the_policy_allows_the_import_map_and_no_other_script() -> None:
    policy = site.page().policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")


TIME_OF_A_REFRESH = {f"localStorage.{act}(UNDER_WAY" for act in ("getItem", "setItem", "removeItem")}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_script(path: Path) -> None:
    text = path.read_text()
    for asked in re.findall(r'^import .* from "([^"]+)";$|import\("([^"]+)"\)', text, re.MULTILINE):
        assert "".join(asked) in MAP, f"{path.name} imports {asked}"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
        "cells are hostile"
    )
    assert not re.search(r"https?://(?!www\.w3\.org)[\w.]", text), "nothing comes from elsewhere"
    kept = set(re.findall(r"localStorage\W+\w+\W*\w*", text))
    assert kept <= TIME_OF_A_REFRESH, "what somebody saw shall not outlive the tab"
    assert len(text.splitlines()) <= 400


def test_each_style_sheet_is_in_the_page() -> None:
    (style,) = [asset.content for name, asset in site.assets().items() if name.endswith(".css")]
    for path in VENDOR.parent.rglob("*.css"):
        assert path.read_bytes() in style, path.name
        assert len(path.read_text().splitlines()) <= 400


def test_vendored_files_are_those_that_the_script_made() -> None:
    described = json.loads((VENDOR / "vendor.json").read_text())
    assert (Path(__file__).parents[3] / described["made_by"]).is_file()
    present = {path.name for path in VENDOR.iterdir()} - {"vendor.json", "LICENCES.txt"}
    assert present == set(described["files"])
    licences = (VENDOR / "LICENCES.txt").read_text()
    for name, about in described["files"].items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == about["sha256"], name
        for package in about["packages"]:
            assert package["licence"] in ("MIT", "Apache-2.0", "BSD-3-Clause", "ISC")
            assert f"{package['name']} {package['version']} ({package['licence']})" in licences


def test_a_name_changes_with_the_content() -> None:
    for name, asset in site.assets().items():
        assert name.split(".")[-2] == hashlib.sha256(asset.content).hexdigest()[:12]
