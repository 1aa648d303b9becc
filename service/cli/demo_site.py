"""The data of the demo: a small shop that exists only while the demo runs.

It has three sources, as untidy as real ones: a CSV export of orders (duplicate rows, prices that are not numbers,
missing values, dates in two formats, stray spaces), a paginated JSON API with the products' costs, and an HTML
catalogue with their titles and ratings. The API and the catalogue are served on loopback by a thread of this process
and fetched over HTTP by the collectors; the key ``sku`` joins the three.

Everything is made from a fixed seed, so that the demo has the same answers every time.
"""

from __future__ import annotations

import csv
import html
import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SEED = 7
PRODUCTS = 60
PER_PAGE = 25
CATALOGUE_PAGES = 2
ORDERS = 5_000
NAME = "shop"
CSV_FILE = "orders.csv"

QUESTION = "Which categories earn the most, and are the better rated ones among them?"
SQL = """\
SELECT category,
       count(*)                                    AS orders,
       round(sum(revenue), 2)                      AS revenue,
       round(sum(revenue - quantity * cost), 2)    AS margin,
       round(avg(rating), 2)                       AS rating
FROM shop
GROUP BY category
ORDER BY revenue DESC"""

_CATEGORIES = {
    "Kitchen": ["Kettle", "Pan", "Knife", "Grater", "Teapot", "Whisk", "Scale", "Mill", "Ladle", "Bowl"],
    "Garden": ["Spade", "Hose", "Rake", "Planter", "Shears", "Trowel", "Bench", "Lantern", "Gloves", "Bird box"],
    "Books": ["Atlas", "Cookbook", "Diary", "Field guide", "Novel", "Poems", "Primer", "Score", "Almanac", "Comic"],
    "Toys": ["Blocks", "Kite", "Puzzle", "Robot", "Train", "Top", "Yo-yo", "Puppet", "Marbles", "Drum"],
    "Office": ["Stapler", "Lamp", "Chair", "Folder", "Pen set", "Desk mat", "Tray", "Clock", "Shredder", "Easel"],
    "Sports": ["Ball", "Racket", "Rope", "Mat", "Weights", "Helmet", "Skates", "Net", "Whistle", "Bottle"],
}
_COUNTRIES = ["DE", "FR", "GB", "NL", "PL"]
_CHANNELS = ["web", "app", "store"]
_JUNK_PRICES = ["n/a", "ask", "12,5O", "free?"]
_FORMATS = ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M"]


def products() -> list[dict[str, Any]]:
    """The shop's products: sku, title, category, cost, list price, rating, and where they come from."""
    chance = random.Random(SEED)  # noqa: S311 - made-up data, nothing to guess
    found: list[dict[str, Any]] = []
    for category, titles in _CATEGORIES.items():
        for title in titles:
            cost = round(chance.uniform(2, 60), 2)
            found.append(
                {
                    "sku": f"P-{len(found) + 1:04d}",
                    "title": title,
                    "category": category,
                    "cost": cost,
                    "list_price": round(cost * chance.uniform(1.2, 2.5), 2),
                    "rating": round(chance.uniform(2.5, 5.0), 1),
                    "supplier": {"country": chance.choice(_COUNTRIES), "lead_days": chance.randint(1, 30)},
                }
            )
    return found


def _order(number: int, chance: random.Random, shop: list[dict[str, Any]]) -> list[Any]:
    product = shop[min(chance.randrange(PRODUCTS), chance.randrange(PRODUCTS))]
    ordered = datetime(2025, 1, 1) + timedelta(minutes=chance.randrange(365 * 24 * 60))
    price: Any = round(product["list_price"] * chance.choice([1, 1, 1, 0.9, 0.8]), 2)
    if chance.random() < 0.02:
        price = chance.choice(_JUNK_PRICES)
    channel = chance.choice(_CHANNELS)
    quantity: Any = chance.randint(1, 5)
    if chance.random() < 0.04:
        quantity = chance.choice(["", "", "", -1, 500])
    return [
        10_000 + number,
        ordered.strftime(_FORMATS[chance.random() < 0.3]),
        product["sku"],
        quantity,
        "" if chance.random() < 0.03 else price,
        "" if chance.random() < 0.05 else f"  {channel} " if chance.random() < 0.2 else channel,
        chance.choice(["", "", "", "gift wrap, please", 'wrote "call first"']),
    ]


def make_csv(path: Path, rows: int = ORDERS) -> Path:
    """Write ``rows`` orders, some of them twice, to ``path``."""
    chance, shop = random.Random(SEED), products()  # noqa: S311 - made-up data
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["order_id", "Ordered At", "sku", "quantity", "unit_price", "channel", "note"])
        for number in range(rows):
            row = _order(number, chance, shop)
            writer.writerow(row)
            if chance.random() < 0.02:
                writer.writerow(row)
    return path


def _api_page(page: int, size: int) -> dict[str, Any]:
    keys = ("sku", "category", "cost", "supplier")
    items = [{key: product[key] for key in keys} for product in products()]
    return {"data": {"items": items[(page - 1) * size : page * size], "total": len(items)}, "page": page}


def _catalogue_page(page: int) -> str:
    per_page = PRODUCTS // CATALOGUE_PAGES
    shown = products()[(page - 1) * per_page : page * per_page]
    cards = "\n".join(
        f'<article class="product"><h2><a href="/product/{p["sku"]}">{html.escape(p["title"])}</a></h2>'
        f'<code class="sku">{p["sku"]}</code>'
        f'<span class="stars" data-rating="{p["rating"]}">{"★" * round(p["rating"])}</span></article>'
        for p in shown
    )
    return f'<!doctype html>\n<html lang="en"><head><title>Catalogue</title></head><body>\n{cards}\n</body></html>\n'


class _Shop(BaseHTTPRequestHandler):
    """Answers ``/api/products?page=&size=``, ``/catalogue/<page>`` and ``/robots.txt``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        numbers = [query.get("page", "1"), query.get("size", str(PER_PAGE)), url.path.rpartition("/")[2]]
        page, size, last = (int(text) if text.isdecimal() else 0 for text in numbers)
        if url.path == "/api/products" and page and size:
            self._answer("application/json", json.dumps(_api_page(page, size)))
        elif url.path.startswith("/catalogue/") and 1 <= last <= CATALOGUE_PAGES:
            self._answer("text/html; charset=utf-8", _catalogue_page(last))
        elif url.path == "/robots.txt":
            self._answer("text/plain", "User-agent: *\nAllow: /\n")
        else:
            self._answer("text/plain", "there is no such page\n", status=404)

    def _answer(self, kind: str, text: str, *, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the demo's screen is for the demo."""


@contextmanager
def serve(port: int = 0) -> Iterator[str]:
    """The shop on a loopback port, or a free one: gives its address, such as ``http://127.0.0.1:40123``."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Shop)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def moved(document: bytes, address: str) -> bytes:
    """The document of the demo's pipeline, as it is now, over the shop at another address."""
    return re.sub(rb"http://127\.0\.0\.1:\d+(?=/(?:api/products|catalogue/))", address.encode(), document)


def pipeline(address: str, file: str = CSV_FILE) -> dict[str, Any]:
    """The demo's pipeline over the shop at ``address`` and the CSV named ``file``."""
    return {
        "name": NAME,
        "description": "Orders of a small shop, with costs from its API and ratings from its catalogue.",
        "collectors": [
            {"id": "orders", "type": "csv", "file_path": file},
            {
                "id": "products",
                "type": "api",
                "endpoint": f"{address}/api/products",
                "records_path": "data.items",
                "pagination": {"type": "page", "page_param": "page", "size_param": "size", "size": PER_PAGE},
            },
            {
                "id": "catalogue",
                "type": "web",
                "url": [f"{address}/catalogue/{page}" for page in range(1, CATALOGUE_PAGES + 1)],
                "css_selectors": {
                    "container": "article.product",
                    "sku": ".sku",
                    "title": "h2 a",
                    "rating": ".stars@data-rating",
                },
            },
        ],
        "combine": {"how": "join", "on": ["sku"], "type": "left"},
        "processors": [
            {
                "type": "cleaner",
                "config": {
                    "rename_columns": {"Ordered At": "ordered_at"},
                    "drop_columns": ["note"],
                    "strip_strings": True,
                    "cast": {
                        "ordered_at": {"type": "datetime", "format": _FORMATS, "on_error": "null"},
                        "unit_price": {"type": "float64", "on_error": "null"},
                        "rating": {"type": "float64", "on_error": "null"},
                    },
                    "fill_na": {"channel": "unknown", "quantity": 1, "unit_price": {"strategy": "median"}},
                    "drop_duplicates": {"columns": ["order_id"], "keep": "first"},
                },
            },
            {
                "type": "validator",
                "config": {
                    "rules": [
                        {"name": "believable quantity", "column": "quantity", "check": "in_range", "min": 1, "max": 50},
                        {"name": "known product", "column": "cost", "check": "not_null"},
                        {"name": "one row an order", "column": "order_id", "check": "unique"},
                    ],
                    "on_fail": "quarantine",
                },
            },
            {"type": "analyzer", "config": {}},
            {
                "type": "transformer",
                "config": {
                    "derive": {"revenue": "quantity * unit_price"},
                    "datetime": {"ordered_at": {"parts": ["year", "month", "weekday", "hour"]}},
                    "encode": {"channel": "onehot"},
                },
            },
        ],
        "storage": [{"type": "parquet"}, {"type": "duckdb", "table": NAME, "primary_key": ["order_id"]}],
    }
