"""Routes of the guide: the pages for users in ``service/docs``, as HTML, without the internet and without scripts."""

from __future__ import annotations

import asyncio
import html
from functools import cache
from pathlib import Path

from litestar import Response
from litestar.params import FromPath

import service
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.kit import errors

_FOLDER = Path(service.__file__).parent / "docs"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} – Penstock</title>
<style>
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }}
pre {{ overflow-x: auto; padding: .75rem; border: 1px solid #8886 }}
table {{ display: block; overflow-x: auto; border-collapse: collapse }}
th, td {{ padding: .25rem .75rem; border: 1px solid #8886; text-align: left; vertical-align: top }}
</style>
</head>
<body>
<nav><a href="/docs/guide">Guide</a> · <a href="/docs">API</a> · <a href="/console/">Console</a></nav>
<main>
{content}
</main>
</body>
</html>
"""


@get(
    "/docs/guide",
    **route(
        "public",
        "Service",
        "List the pages of the guide",
        "A page that leads to the others.",
        ResponseDoc(text="The page.", media=("text/html",)),
    ),
)
async def guide() -> Response[str]:
    return _page(await asyncio.to_thread(_contents))


@get(
    "/docs/guide/{page:str}",
    **route(
        "public",
        "Service",
        "Read a page of the guide",
        "How the parts of the service are used; `page` is its name with or without `.md`.",
        ResponseDoc(text="The page.", media=("text/html",)),
        errors=("NOT_FOUND",),
    ),
)
async def guide_page(page: FromPath[str]) -> Response[str]:
    name = page.removesuffix(".md")
    if name not in await asyncio.to_thread(_titles):
        raise errors.Missing(f"the guide has no page '{page[:60]}'; GET /docs/guide lists them")
    return _page(await asyncio.to_thread(_rendered, name))


def _page(text: str) -> Response[str]:
    headers = {"content-security-policy": _POLICY, "cache-control": "public, max-age=3600"}
    return Response(text, media_type="text/html", headers=headers)


@cache
def _titles() -> dict[str, str]:
    """The titles of the pages by their names: their first lines."""
    pages = sorted(_FOLDER.glob("*.md"))
    return {path.stem: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in pages}


@cache
def _contents() -> str:
    rows = (f'<li><a href="/docs/guide/{name}">{html.escape(title)}</a></li>' for name, title in _titles().items())
    return _FRAME.format(title="Guide", content="<h1>Guide</h1>\n<ul>\n" + "\n".join(rows) + "\n</ul>")


@cache
def _rendered(name: str) -> str:
    from markdown_it import MarkdownIt  # its start is worth 20 ms, and few processes are asked

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    text = (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return _FRAME.format(title=html.escape(_titles()[name]), content=markdown.render(text))


HANDLERS = [guide, guide_page]
