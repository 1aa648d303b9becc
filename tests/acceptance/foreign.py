"""Servers of other people as processes, and the collectors run against them."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import polars as pl

from service.collectors.api import ApiCollector
from service.collectors.web import WebCollector
from service.engine.polars_frame import PolarsFrame
from service.network.policy import Network
from service.steps.collector import Collector
from service.steps.context import CollectContext
from tests.acceptance.service import clean_environment, process

COUNT = 250
NOTE = 'x "q", y\nz'
KINDS: dict[str, type[Collector]] = {"api": ApiCollector, "web": WebCollector}
SECRETS = {"PASSWORD": "open sesame+1"}


def started(command: list[str], port: int, folder: Path) -> Iterator[str]:
    """The address of a server once it answers anything at all."""
    address = f"http://127.0.0.1:{port}"
    with process(command, cwd=folder, env=clean_environment()) as child:
        deadline = monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert child.poll() is None, (folder / "process.log").read_text()
                assert monotonic() < deadline
        yield address


def collected(kind: str, folder: Path, **config: Any) -> tuple[pl.DataFrame, CollectContext]:
    settings = msgspec.convert({"type": kind, **config}, KINDS[kind])
    assert list(settings.problems()) == []
    ctx = CollectContext("collectors[0]", folder, network=Network(("127.0.0.1",)), secrets=SECRETS, frames=PolarsFrame)
    frame = asyncio.run(settings.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming"), ctx
