"""The probe of one source: it proposes a collector that reads the source, ready to be posted.

The bytes of a source determine its format, not its name. The proposal is built from the findings (``dialects``,
``clues`` and ``trials``, ``structures``), decoded like any configuration, and then *used*: the columns of the answer
are those that the proposed collector reads from the first pages, or from the beginning of the file. So every proposal
has worked once, with the secrets, limits and network policy of a run.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from service.collectors.fetching import headers
from service.collectors.http_api.authentication import Auth, ClientCredentials
from service.collectors.source_file import paths
from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.kit import errors
from service.kit.errors import Problem
from service.network import request
from service.probing import endpoints, sources, traits
from service.probing.sources import STEP
from service.probing.structures import HtmlTable, Structure
from service.probing.traits import ColumnTraits, CursorColumn, Key
from service.steps.collector import Collector
from service.steps.context import CollectContext

SAMPLE_ROWS = 10_000
_EXPECTED = ("total_differs", "more_pages", "empty_pages", "malformed_rows")  # the probe reads only a part on purpose
Decode = Callable[[Mapping[str, Any]], Collector]


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source to probe: a URL or a file. ``headers`` and ``auth`` are those of the api collector."""

    url: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None,
        msgspec.Meta(description="An API or a page; http or https.", examples=["https://api.example.com/v1/orders"]),
    ] = None
    file_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None,
        msgspec.Meta(description="A file or a glob; relative to the uploads and the file roots."),
    ] = None
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to the URL's own origin only.")] = {}
    auth: Annotated[Auth | None, msgspec.Meta(description="bearer, basic, api_key or oauth2_client_credentials.")] = (
        None
    )

    method: Annotated[Literal["GET", "POST"], msgspec.Meta(description="How the URL is requested.")] = "GET"
    body: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="JSON body of a POST, as in the api collector.")
    ] = None

    @property
    def target(self) -> endpoints.Target:
        """The URL and how to request it."""
        return endpoints.Target(str(self.url), self.headers, self.auth, self.method, self.body)

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the request; field paths relative to the body."""
        if (self.url is None) == (self.file_path is None):
            yield Problem("url", "give either a url or a file_path")
        if self.url is not None and "${" not in self.url and request.fault(self.url) is not None:
            yield Problem("url", str(request.fault(self.url)))
        if self.file_path is not None:
            yield from paths.problems(self.file_path)
            given = {"headers": self.headers, "auth": self.auth, "method": self.method == "POST", "body": self.body}
            for name, value in given.items():
                if value:
                    yield Problem(name, "is for a url; omit it for a file")
        if self.body is not None and self.method == "GET":
            yield Problem("body", "a GET has no body; set method to POST")
        yield from headers.problems(self.headers)
        if isinstance(self.auth, ClientCredentials):
            yield from self.auth.problems()


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """How further pages are requested, and how that is known. ``tried`` lists the candidates, in order."""

    type: str
    verified: bool
    how: str
    tried: list[str] = []


class RobotsFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the site's robots.txt allows the page, and its interval between two requests in seconds."""

    allowed: bool
    delay_seconds: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding. ``collector`` can be posted in a pipeline as it is; null if robots.txt forbids the page."""

    format: str
    collector: dict[str, Any] | None
    records_path: str | None = None
    pagination: Pagination | None = None
    primary_keys: list[Key] = []
    cursors: list[CursorColumn] = []
    columns: list[ColumnTraits] = []
    sample_rows: int = 0
    tables: list[HtmlTable] = []
    structures: list[Structure] = []
    robots: RobotsFinding | None = None
    requests: int = 0
    notes: list[str] = []


def probe(asked: Probe, ctx: CollectContext, decode: Decode) -> Finding:
    """Probe a source. ``decode`` validates the proposal as in a pipeline.

    Raises ``errors.Transient`` or ``errors.Permanent`` naming the field of ``asked`` that is at fault.
    """
    if asked.url is not None:
        found = asyncio.run(endpoints.remote(asked.target, ctx))
    else:
        found = sources.local(str(asked.file_path), ctx)
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
    paged = None
    if verdict is not None:
        paged = Pagination(type=verdict.type, verified=verdict.verified, how=verdict.how, tried=verdict.tried)
    return Finding(
        format=found.format,
        collector=found.collector,
        records_path=found.records_path,
        pagination=paged,
        primary_keys=keys,
        cursors=cursors,
        columns=shown,
        sample_rows=sample.height if sample is not None else 0,
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
