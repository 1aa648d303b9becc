"""A Litestar handler that answers a constant struct, on the server that the service has: ``python -m … PORT``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar, get

from benchmarks import measure

_READY_SECONDS = 60


class Health(msgspec.Struct):
    """What ``/health`` of the service answers."""

    status: str
    version: str


@get("/health")
async def health() -> Health:
    """A constant."""
    return Health("healthy", "0.0.0")


@contextmanager
def running(port: int) -> Iterator[tuple[int, str]]:
    """Its process id and address."""
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.contestants.bare_handler", str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise measure.Failed("the bare handler does not come up") from None
                time.sleep(0.05)
        yield child.pid, address
    finally:
        child.terminate()
        child.wait(30)


if __name__ == "__main__":
    app = Litestar([health], openapi_config=None, logging_config=None)
    asyncio.run(
        Server(
            app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGINL, http=HTTPModes.http1,
            websockets=False,
        ).serve()
    )  # fmt: skip
