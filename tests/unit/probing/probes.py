"""A probe as a test asks it: decode, judged like a part of a pipeline, run over a folder or a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.jobs.tasks.probe import decode
from service.kit import errors
from service.network.policy import Network
from service.probing.finding import Finding, Probe
from service.probing.probe import probe
from service.steps.context import CollectContext

SECRETS = {"TOKEN": "s3cret-token"}


def context(folder: Path, files: Path | None = None) -> CollectContext:
    return CollectContext(
        "probe",
        folder,
        network=Network(("127.0.0.1",)),
        secrets=SECRETS,
        frames=PolarsFrame,
        files=Files((files,) if files else ()),
    )


def looked(folder: Path, files: Path | None = None, **asked: Any) -> Finding:
    """What a probe finds; ``folder`` is its own and must not be there yet."""
    folder.mkdir()
    wanted = msgspec.convert(asked, Probe)
    assert list(wanted.problems()) == []
    return probe(wanted, context(folder, files), decode)


def refused(folder: Path, files: Path | None = None, **asked: Any) -> errors.StepError:
    with pytest.raises(errors.StepError) as caught:
        looked(folder, files, **asked)
    return caught.value


def collected(proposal: Mapping[str, Any] | None, folder: Path, files: Path | None = None) -> pl.DataFrame:
    """The rows of a proposed collector, all of them."""
    assert proposal is not None
    folder.mkdir()
    frame = asyncio.run(decode(proposal).collect(context(folder, files)))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming")
