"""Running the api collector against a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.collectors.api import ApiCollector
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.context import CollectContext
from tests.unit.network.site import Answers, Hit, Reply, Site, context, serving


def collector(**config: Any) -> ApiCollector:
    return msgspec.convert({"type": "api", **config}, ApiCollector)


def rows(config: dict[str, Any], ctx: CollectContext) -> pl.DataFrame:
    frame = asyncio.run(collector(**config).collect(ctx))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming")


def fetched(answers: Answers, tmp_path: Path, **config: Any) -> tuple[pl.DataFrame, Site, CollectContext]:
    ctx = context(tmp_path, secrets={"TOKEN": "s3cret-token"})
    with serving(answers) as site:
        return rows({"endpoint": site.address + config.pop("path", "/orders"), **config}, ctx), site, ctx


def failure(answers: Answers, tmp_path: Path, **config: Any) -> errors.StepError:
    with pytest.raises(errors.StepError) as caught:
        fetched(answers, tmp_path, **config)
    assert caught.value.details["step"] == "collectors[0]"
    return caught.value


def shop(records: Sequence[Any], *, total: bool = False, cap: int = 10**6) -> Answers:
    """A source with numbered pages, offsets and links, whichever is asked for."""

    def answer(hit: Hit) -> Reply:
        size = min(int(hit.query.get("size", hit.query.get("limit", 10))), cap)
        begin = (
            int(hit.query["offset"]) if "offset" in hit.query else (int(hit.query.get("page", 1)) - 1) * size
        )  # fmt: skip
        body: dict[str, Any] = {"items": records[begin : begin + size], "meta": {"total": len(records)}}
        page = int(hit.query.get("page", 1))
        more = {"Link": f'</orders?page={page + 1}&size={size}>; rel="next"'} if begin + size < len(records) else {}
        if not total:
            del body["meta"]
        return Reply.json(body, **more)

    return answer


PAGED = {"type": "page", "size_param": "size", "size": 10}
