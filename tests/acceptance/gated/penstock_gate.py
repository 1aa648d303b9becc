"""A step that lets rows through when a test wants it, wherever they are: in this process or on an executor."""

from __future__ import annotations

import time
import uuid
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import polars as pl

from service.steps import Frame, ProcessContext, Processor

SECONDS = 900.0  # after which it lets through whatever the test does


def wait(folder: str, rows: Any) -> Any:
    """Wait for the file ``open``; meanwhile a file ``waiting-…`` is touched, as long as this process lives."""
    here = Path(folder)
    mine = here / f"waiting-{uuid.uuid4().hex}"
    until = time.monotonic() + SECONDS
    while not (here / "open").exists() and time.monotonic() < until:
        if here.is_dir():
            mine.touch()
        time.sleep(0.05)
    mine.unlink(missing_ok=True)
    return rows


class Gate(Processor, frozen=True, kw_only=True, tag="gate"):
    """Lets rows wait."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "gate", "config": {"folder": "/tmp/gate"}}
    folder: Annotated[str, msgspec.Meta(description="Where the file ``open`` is awaited.")]
    where: Annotated[Literal["rows", "groups"], msgspec.Meta(description="Row by row, or where groups meet.")] = "rows"
    column: Annotated[str, msgspec.Meta(description="Whose groups.")] = "city"

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.where == "rows":
            return frame.rows(lambda lf: lf.map_batches(partial(wait, self.folder)))
        value = pl.col(self.column)
        gated = value.map_batches(partial(wait, self.folder), return_dtype=pl.String).alias(self.column)
        return frame.per_group(["id"], [], [gated])
