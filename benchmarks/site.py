"""Site: what the collectors are measured against, in a process of its own: ready-made answers, little else.

``/records?page=N[&size=S][&pages=P]`` answers a page of JSON records of about 70 bytes, with their total; ``/html/N`` a
page of products. Every answer is a pure function of its address. Run as ``python -m benchmarks.site``: it prints its
port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs

SIZE = 100
PAGES = 50_000
PRODUCTS = 60
_ROOT = Path(__file__).resolve().parent.parent
_ENDED = b"\r\n\r\n"


def record(number: int) -> str:
    """Record ``number`` as JSON."""
    paid = "true" if number % 3 else "false"
    name, price, shop = f"item {number % 9973}", f"{number % 1000}.5", f"s{number % 7}"
    return f'{{"id":{number},"name":"{name}","price":{price},"paid":{paid},"shop":"{shop}"}}'


def product(number: int) -> str:
    """Product ``number`` as HTML."""
    return (
        f'<article class="product"><h3><a href="/p/{number}" title="Product {number}">Product {number}</a></h3>'
        f'<div class="price"><span class="amount">{number % 900}.95</span> <span class="currency">EUR</span></div>'
        f'<p class="availability {"in" if number % 4 else "out"}stock">  In stock\n ({number % 50} pieces) </p>'
        f'<ul class="tags"><li>tag{number % 5}</li><li>tag{number % 11}</li></ul></article>'
    )


def html(page: int) -> str:
    """A page of products, with the menus and scripts around them that pages have."""
    menu = "".join(f'<li class="item"><a href="/c/{n}">Category {n}</a></li>' for n in range(40))
    products = "\n".join(product(page * PRODUCTS + n) for n in range(PRODUCTS))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page {page}</title>'
        f"<script>var page = {page};</script><style>.a {{ color: red }}</style></head><body><nav><ul>{menu}</ul></nav>"
        f'<main><div class="grid">{products}</div></main><footer><p>The end</p></footer></body></html>'
    )


def _answer(kind: bytes, body: str) -> bytes:
    data = body.encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(data), data)


@lru_cache(maxsize=5000)
def answer(target: str) -> bytes:
    """The whole answer to an address, headers and all."""
    path, _, query = target.partition("?")
    if path.startswith("/html/"):
        return _answer(b"text/html; charset=utf-8", html(int(path.removeprefix("/html/"))))
    if path != "/records":
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    given = {name: int(values[-1]) for name, values in parse_qs(query).items()}
    size, pages, page = given.get("size", SIZE), given.get("pages", PAGES), given["page"]
    numbers = range((page - 1) * size, page * size) if page <= pages else range(0)
    items = ",".join(map(record, numbers))
    return _answer(b"application/json", f'{{"items":[{items}],"total":{size * pages}}}')


class _Serving(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._left = transport, b""

    def data_received(self, data: bytes) -> None:
        data = self._left + data
        while _ENDED in data:
            head, _, data = data.partition(_ENDED)
            self._transport.write(answer(head.split(b" ", 2)[1].decode()))
        self._left = data


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Serving, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def running() -> Iterator[str]:
    """The address of a fresh site."""
    command = [sys.executable, "-m", "benchmarks.site"]
    child = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve())
