"""Rows of another pipeline's stored version: a scan of the parts of that version."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from service.kit import errors
from service.steps.collector import Collector, Upstream
from service.steps.context import CollectContext
from service.steps.frame import Frame
from service.values.version_name import VersionName


class PipelineCollector(Collector, frozen=True, kw_only=True, tag="pipeline"):
    """Another pipeline's stored result: its newest version at the run's start, or the one that `version` names."""

    local: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "pipeline", "name": "orders", "version": 3}

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z", description="The pipeline to read.")]
    version: Annotated[
        VersionName | None, msgspec.Meta(description="A version, by number or tag; by default the newest.")
    ] = None

    def upstream(self) -> Upstream:
        return Upstream(self.name, self.version)

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        stored = ctx.stored
        if stored is None:
            return {"kind": "pipeline", "pipeline": self.name, "version": self.version}
        size = sum(part.stat().st_size for part in stored.parts)
        return {"kind": "pipeline", "pipeline": stored.pipeline, "version": stored.version, "rows": stored.rows,
                "bytes": size}  # fmt: skip

    async def collect(self, ctx: CollectContext) -> Frame:
        """A scan of the version's parts. Raises ``errors.Permanent`` if the run has none."""
        stored = ctx.stored
        if stored is None:
            raise errors.Permanent(f"there is no stored version of '{self.name}'", step=ctx.step, field="name")
        ctx.add_evidence({"pipeline": stored.pipeline, "version": stored.version, "files": len(stored.parts)})
        ctx.collected(stored.rows)
        ctx.progress(1.0, f"{stored.rows} rows of {stored.pipeline}@{stored.version}")
        return ctx.scan_parquet(stored.parts)
