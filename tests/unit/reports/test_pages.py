"""Pages of runs, versions and differences: whole in themselves, harmless in a notebook, of bounded size."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from service.api import examples
from service.reports import pages

HOSTILE = "<img src=x onerror=alert(1)>\"'</style></article><script>alert(1)</script>"
MAKERS = {"run": pages.run, "version": pages.version, "diff": pages.diff}
EXAMPLES: dict[str, dict[str, Any]] = {"run": examples.RUN, "version": examples.VERSION, "diff": examples.DIFF}


def hostile(value: Any) -> Any:
    """The value with a hostile text for each of its texts and names."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return {k: hostile(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("kind", MAKERS)
def test_a_page_loads_nothing_and_styles_nothing_else(kind: str) -> None:
    page = MAKERS[kind](EXAMPLES[kind])
    assert re.findall(r"""(?:src|href)\s*=|url\(|@import|<script|\son\w+=|style=""", page) == []
    style = page.partition("<style>")[2].partition("</style>")[0]
    rules = re.sub(r"/\*.*?\*/|@media[^{]*{", "", style, flags=re.DOTALL)
    selectors = [one.strip() for head in re.findall(r"([^{}]+)\{", rules) for one in head.split(",")]
    assert len(selectors) > 20
    assert [one for one in selectors if not one.startswith(".penstock")] == []


def test_a_run_says_what_it_did() -> None:
    failed = {
        **examples.RUN, "status": "failed", "error": {"code": "STEP_FAILED", "message": "no column 'price'"},
        "warnings": [{"step": "collectors[0]", "code": "x", "message": "7 values lost", "details": {}}],
    }  # fmt: skip
    page = pages.run(failed)
    for shown in ("orders: failed", "STEP_FAILED: no column", "7 values lost", "collectors[0]", "1,000", "175.0 MiB"):
        assert shown in page, shown


def test_a_version_says_what_it_has() -> None:
    change = {"column": "price", "change": "retyped", "before": "int64", "after": "float64"}
    page = pages.version({**examples.VERSION, "schema_changes": [change], "tags": ["stable"], "pinned": True})
    for shown in ("price: retyped (int64 → float64)", "tagged stable", "pinned", "990"):
        assert shown in page, shown


def test_differences_are_exact() -> None:
    found = copy.deepcopy(examples.DIFF)
    found["samples"]["added"] = [{"order_id": 2**63, "price": 0.1 + 0.2}, {"order_id": None, "price": True}]
    page = pages.diff(found)
    for shown in (
        "9,223,372,036,854,775,808",
        "0.30000000000000004",
        "<del>12.0</del>",
        "<del>1.0%</del> <ins>2.0%</ins>",
    ):
        assert shown in page, shown


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_are_never_markup(kind: str) -> None:
    found = hostile(EXAMPLES[kind])
    if kind == "diff":
        row = {HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}, "nul": "a\x00b"}
        found["columns"] = [{**found["columns"][0], "name": name} for name in row]
        found["samples"] = {"added": [row], "removed": [row], "changed": [{"key": row, "before": {}, "after": row}]}
    page = MAKERS[kind](found)
    assert "<img" not in page
    assert "<script" not in page
    assert "\x00" not in page
    assert page.count("</style>") == page.count("</article>") == 1
    assert "&lt;img" in page


def test_a_page_has_a_bounded_size() -> None:
    columns = [{**examples.DIFF["columns"][0], "name": f"{number} {'n' * 9999}"} for number in range(500)]
    row = {column["name"]: "v" * 100_000 for column in columns}
    samples = {"added": [row] * 100, "removed": [], "changed": [{"key": row, "before": row, "after": row}] * 100}
    assert len(pages.diff({**examples.DIFF, "columns": columns, "samples": samples})) < 1_500_000
    assert "400 more are in the JSON form" in pages.diff({**examples.DIFF, "columns": columns})
    run = {**examples.RUN, "steps": examples.RUN["steps"] * 5000, "warnings": [
        {"step": "s", "code": "c", "message": "m" * 100_000, "details": {}}] * 1000}  # fmt: skip
    assert len(pages.run(run)) < 100_000
    version = {**examples.VERSION, "columns": [{"name": "c" * 5000, "type": "string"}] * 5000}
    assert len(pages.version(version)) < 100_000


@pytest.mark.parametrize(("seconds", "text"), [(None, "–"), (0.004, "0.00 s"), (59.994, "59.99 s"), (61, "1 min 1 s"),
                                               (7260, "2 h 1 min")])  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert f"<b>{text}</b>" in pages.run({**examples.RUN, "duration": seconds})
