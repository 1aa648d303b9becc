"""The guide: every page for users, as HTML, with links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from litestar import Litestar
from litestar.testing import TestClient

import service

Client = TestClient[Litestar]
PAGES = sorted(path.stem for path in (Path(service.__file__).parent / "docs").glob("*.md"))


def test_all_pages_are_listed_and_answer(anonymous: Client) -> None:
    contents = anonymous.get("/docs/guide")
    assert re.findall(r'<li><a href="/docs/guide/([\w-]+)">', contents.text) == PAGES
    for name in PAGES:
        page = anonymous.get(f"/docs/guide/{name}")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src" not in page.headers["content-security-policy"]
        assert "<h1>" in page.text


def test_links_between_pages_lead_somewhere(anonymous: Client) -> None:
    found = set()
    for name in PAGES:
        for target in re.findall(r'<a href="([\w./-]+)', anonymous.get(f"/docs/guide/{name}").text):
            path = target if target.startswith("/") else f"/docs/guide/{target}"
            found.add(path)
            assert anonymous.get(path).status_code == 200, f"{name} links to {target}"
    assert any(path.endswith(".md") for path in found)


def test_what_is_no_page(anonymous: Client) -> None:
    for name in ("nothing", "..%2F__init__", "reading.md.md"):
        answer = anonymous.get(f"/docs/guide/{name}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
