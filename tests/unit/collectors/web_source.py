"""Running the web collector against a server on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from service.collectors.web import WebCollector
from service.engine.polars_frame import PolarsFrame
from service.steps.context import CollectContext
from tests.unit.network.site import Reply, context, serving


def collector(**config: Any) -> WebCollector:
    return msgspec.convert({"type": "web", **config}, WebCollector)


def scraped(
    pages: dict[str, str | bytes], folder: Path, selectors: dict[str, Any], **config: Any
) -> tuple[list[dict[str, Any]], CollectContext]:
    """Rows of all pages, each served as HTML under its path."""
    ctx = context(folder)
    kind = config.pop("content_type", "text/html")
    with serving(lambda hit: page(pages[hit.path], kind) if hit.path in pages else Reply(b"", 404)) as site:
        urls = [site.address + path for path in pages]
        settings = collector(url=urls if len(urls) > 1 else urls[0], css_selectors=selectors, **config)
        assert list(settings.problems()) == []
        frame = asyncio.run(settings.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    rows = frame.lazy.collect(engine="streaming").to_dicts()
    return [{k: v.replace(site.address, "SITE") if v else v for k, v in row.items()} for row in rows], ctx


def page(body: str | bytes, content_type: str) -> Reply:
    return Reply(body.encode() if isinstance(body, str) else body, headers={"content-type": content_type})
