"""Steps that do to a run worker what a bug, an attack or a broken machine would do."""

from __future__ import annotations

import os
import signal
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import polars as pl

from service.steps import CollectContext, Collector, Frame, ProcessContext, Processor


class Hostile(Collector, frozen=True, kw_only=True, tag="hostile"):
    """Ends its process, or never ends at all."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "hostile", "how": "nothing"}
    how: Annotated[
        Literal["nothing", "segv", "kill", "abort", "exit", "leave", "memory", "polars", "loop", "bug", "disk"],
        msgspec.Meta(description="What it does."),
    ]

    async def collect(self, ctx: CollectContext) -> Frame:
        match self.how:
            case "segv":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "abort":
                os.abort()
            case "exit":
                os._exit(3)
            case "leave":  # looks like a success to whoever asks only for the exit code
                os._exit(0)
            case "memory":
                kept = []
                while True:
                    kept.append(bytearray(16 << 20))
            case "polars":  # an allocation that Rust cannot survive
                pl.select(pl.int_range(0, 1 << 40)).height  # noqa: B018
            case "loop":
                while True:  # holds the interpreter: no signal handler would run
                    sum(range(1_000_000))
            case "bug":
                raise RuntimeError("a bug in a plug-in, with /a/secret/path in it")
            case "disk":
                (ctx.folder.parent.parent / "elsewhere").write_text("outside of the staging folder")
            case "nothing":
                pass
        return ctx.frame(pl.LazyFrame({"n": [1, 2, 3]}), expensive=False)


class Endless(Processor, frozen=True, kw_only=True, tag="endless"):
    """Never ends: while it is applied, or while its rows are stored. A file ``here`` in the run's folder says so."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "endless", "config": {"stage": "applied"}}
    stage: Annotated[Literal["applied", "stored"], msgspec.Meta(description="When.")]

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        def loop(rows: pl.DataFrame) -> pl.DataFrame:
            (ctx.folder / "here").touch()
            while True:
                sum(range(1_000_000))

        if self.stage == "applied" and not ctx.dry:
            loop(pl.DataFrame())
        return frame.rows(lambda lf: lf.map_batches(loop))
