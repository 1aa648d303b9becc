"""The probe of one source: it proposes a collector that reads the source, ready to be posted.

The bytes of a source determine its format, not its name. The proposal is built from the findings (``dialects``,
``clues`` and ``trials``, ``structures``), decoded like any configuration, and then *used*: the columns of the answer
are those that the proposed collector reads from the first pages, or from the beginning of the file. So every proposal
has worked once, with the secrets, limits and network policy of a run.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.kit import errors
from service.kit.errors import Problem
from service.probing import endpoints, sources, suggestions, traits
from service.probing.finding import Finding, Pagination, Probe, RobotsFinding
from service.probing.sources import STEP
from service.steps.collector import Collector
from service.steps.context import CollectContext

SAMPLE_ROWS = 10_000
_EXPECTED = ("total_differs", "more_pages", "empty_pages", "malformed_rows")  # the probe reads only a part on purpose
Decode = Callable[[Mapping[str, Any]], Collector]


def probe(asked: Probe, ctx: CollectContext, decode: Decode) -> Finding:
    """Probe a source. ``decode`` validates the proposal as in a pipeline.

    Raises ``errors.Transient`` or ``errors.Permanent`` naming the field of ``asked`` that is at fault.
    """
    if asked.url is not None:
        target = endpoints.Target(asked.url, asked.headers, asked.auth, asked.method, asked.body)
        found = asyncio.run(endpoints.remote(target, ctx))
    else:
        found = sources.local(str(asked.file_path), ctx)
    if found.collector is not None and asked.collector:
        found.collector = _with_chosen(found, asked, decode)
    if found.collector is None or not found.tried:
        if found.collector is not None:
            decode(found.collector)
        return _finding(found, None)
    try:
        sample = _sample(found, ctx, decode)
    except errors.StepError as error:
        if not found.lenient:
            raise _blamed(error, asked) from None
        found.collector = {**found.collector, **found.lenient}
        settings = ", ".join(f"{k}: {v}" for k, v in found.lenient.items())
        found.notes.append(f"{error.message}; so {settings} is set")
        try:
            sample = _sample(found, ctx, decode)
        except errors.StepError as again:
            raise _blamed(again, asked) from None
    return _finding(found, sample)


def _with_chosen(found: sources.ProbedSource, asked: Probe, decode: Decode) -> dict[str, Any]:
    """The proposed settings with those of the request. Raises ``errors.Invalid`` naming its fields."""
    assert found.collector is not None
    found.lenient = {name: value for name, value in found.lenient.items() if name not in asked.collector}
    merged = {name: value for name, value in {**found.collector, **asked.collector}.items() if value is not None}
    try:
        decode(merged)
    except errors.Invalid as error:
        faults = error.details.get("errors") or [{"field": error.details.get("field", ""), "message": error.message}]
        raise errors.Invalid.of(
            [Problem(str(fault["field"]).replace("collectors[0]", "collector"), fault["message"]) for fault in faults],
            "body",
        ) from None
    return merged


def _sample(found: sources.ProbedSource, ctx: CollectContext, decode: Decode) -> pl.DataFrame:
    """Rows that the proposed collector reads from the first pages, or from the beginning of the file."""
    assert found.collector is not None
    decode(found.collector)  # as it will be posted
    settings = decode({**found.collector, **found.trial})
    folder = ctx.folder / f"trial-{len(list(ctx.folder.iterdir()))}"
    folder.mkdir()
    network = dataclasses.replace(ctx.network, max_response_bytes=endpoints.MAX_BYTES)
    files = Files((ctx.folder,)) if found.head is not None else ctx.files
    trial = CollectContext(
        STEP, folder, memory_bytes=ctx.memory_bytes, network=network, secrets=ctx.secrets, log=ctx.log,
        limiters=ctx.limiters, files=files, frames=ctx.frames,
    )  # fmt: skip
    frame = asyncio.run(settings.collect(trial))
    assert isinstance(frame, PolarsFrame)
    try:
        sample = frame.lazy.head(SAMPLE_ROWS).collect(engine="streaming")
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise errors.Permanent(f"its rows cannot be read: {str(error).splitlines()[0]}", step=STEP) from None
    report = trial.report()
    for warning in report.warnings:
        if warning.code not in _EXPECTED:
            found.notes.append(warning.message)
    found.requests += int(report.evidence.get("requests", 0))
    return sample


def _finding(found: sources.ProbedSource, sample: pl.DataFrame | None) -> Finding:
    verdict = found.pagination
    keys, cursors, shown = ([], [], []) if sample is None else (
        traits.keys(sample), traits.cursors(sample), traits.columns(sample)
    )  # fmt: skip
    if sample is not None:
        found.notes += [
            f"the dates in '{column.name}' can be read day first or month first; day first is proposed"
            for column in shown
            if suggestions.month_first(sample[column.name], column.cast)
        ]
    paged = None
    if verdict is not None:
        paged = Pagination(type=verdict.type, verified=verdict.verified, how=verdict.how, tried=verdict.tried)
    return Finding(
        format=found.format,
        collector=found.collector,
        records_path=(found.collector or {}).get("records_path", found.records_path),
        pagination=paged,
        primary_keys=keys,
        cursors=cursors,
        columns=shown,
        sample_rows=sample.height if sample is not None else 0,
        repeated_rows=traits.repeated(sample) if sample is not None else 0,
        tables=found.tables,
        structures=found.structures,
        robots=RobotsFinding(allowed=found.robots[0], delay_seconds=found.robots[1])
        if found.robots is not None
        else None,
        requests=found.requests,
        notes=list(dict.fromkeys(found.notes)),
    )


def _blamed(error: errors.StepError, asked: Probe) -> errors.StepError:
    """The trial's error with a field of the request in place of one of the proposal."""
    field = str(error.details.get("field", ""))
    if not field.startswith(("headers", "auth")):
        error.details["field"] = "url" if asked.url is not None else "file_path"
    return error
