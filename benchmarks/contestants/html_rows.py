"""Rows out of HTML that is already here: ``python -m benchmarks.contestants.html_rows CONTESTANT PAGES``.

Prints CPU seconds, imports not counted, and a digest of the rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from benchmarks import site
from service.collectors.html import page as html_page
from service.collectors.html.page import Field, Page, Value
from service.network.request import Response

Rows = list[tuple[str | None, ...]]
FIELDS = {"title": "h3 a", "link": "h3 a@href", "amount": ".price .amount", "currency": ".currency", "stock": "p"}
ADDRESS = "http://shop.example/html/"


def penstock(pages: list[bytes]) -> Rows:
    """What the web collector does with a page, from its bytes to a frame."""
    fields = {name: Field.of(selector) for name, selector in FIELDS.items()}
    columns: dict[str, list[Value]] = {name: [] for name in fields}
    for number, body in enumerate(pages):
        assert html_page.hostile(body) is None
        page = Page.of(Response(200, {"content-type": "text/html; charset=utf-8"}, body, f"{ADDRESS}{number}"))
        containers = page.tree.css("article.product")
        for name, field in fields.items():
            columns[name].extend(page.column(containers, field, True))
    return pl.DataFrame(columns).rows()


def beautiful(parser: str) -> Callable[[list[bytes]], Rows]:
    """What its documentation shows, into a frame as well."""

    def extract(pages: list[bytes]) -> Rows:
        from bs4 import BeautifulSoup

        rows = []
        for page in pages:
            found: Any = BeautifulSoup(page, parser).select("article.product")
            for product in found:
                link = product.select_one("h3 a")
                texts = (product.select_one(s) for s in (".price .amount", ".currency", "p"))
                rows.append((
                    " ".join(link.get_text().split()), f"http://shop.example{link['href']}",
                    *(" ".join(node.get_text().split()) for node in texts),
                ))  # fmt: skip
        return pl.DataFrame(rows, schema=list(FIELDS), orient="row").rows()

    return extract


CONTESTANTS: dict[str, Callable[[list[bytes]], Rows]] = {
    "penstock": penstock, "beautifulsoup": beautiful("html.parser"), "beautifulsoup_lxml": beautiful("lxml"),
}  # fmt: skip


def main(name: str, count: int) -> None:
    pages = [site.html(number).encode() for number in range(count)]
    CONTESTANTS[name](pages[:2])  # what is done once a process
    begin = time.process_time()
    rows = CONTESTANTS[name](pages)
    cpu = time.process_time() - begin
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    print(json.dumps({"cpu": cpu, "rows": len(rows), "digest": digest, "bytes": sum(map(len, pages))}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
