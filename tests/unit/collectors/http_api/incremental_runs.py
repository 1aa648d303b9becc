"""Consecutive runs of an incremental collector, each with the state that the one before committed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.steps.context import CollectContext, State
from tests.unit.collectors.api_source import collector
from tests.unit.network.site import Answers, Hit, Reply, context

SINCE = {"cursor_field": "at", "param": "since"}


class Runs:
    """One run after another of a collector, each of which finds what the one before remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self.earlier: Path | None = None

    def run(
        self, config: Mapping[str, Any], *, commit: bool = True, **around: Any
    ) -> tuple[pl.DataFrame, CollectContext]:
        self._number += 1
        place = self._folder / f"run-{self._number}"
        place.mkdir()
        state = State(self._folder / f"state-{self._number}", self.earlier)
        ctx = context(place, **{"state": state, **around})
        frame = asyncio.run(collector(**config).collect(ctx))
        assert isinstance(frame, PolarsFrame)
        rows = frame.lazy.collect(engine="streaming")
        if commit:
            for name in ctx.report().kept_state:
                assert self.earlier is not None
                (state.folder / name).hardlink_to(self.earlier / name)
            self.earlier = state.folder
        return rows, ctx


def source(records: list[dict[str, Any]], *, inclusive: bool = True, size: int = 3, field: str = "at") -> Answers:
    """Answers what is there now from ``since`` on, in pages, ordered by the cursor."""

    def answer(hit: Hit) -> Reply:
        since = hit.query.get("since")
        found = sorted((r for r in records if r.get(field) is not None), key=lambda r: r[field])
        if since is not None:
            least: Any = type(found[0][field])(since) if found else since
            found = [r for r in found if r[field] > least or (inclusive and r[field] == least)]
        page = int(hit.query.get("page", 1))
        return Reply.json({"items": found[(page - 1) * size : page * size]})

    return answer


def at(site_address: str, **config: Any) -> dict[str, Any]:
    return {"endpoint": site_address + "/events", "pagination": "page", "incremental": SINCE, **config}
