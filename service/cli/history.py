"""``penstock list`` and ``penstock log``: pipelines and the logs of runs, from the catalog or a running service."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click
import msgspec

from service.api import responses
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.cli import output, remote, session
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import SystemClock
from service.runs.journals import Journals

T = TypeVar("T")
_COLUMNS = ["name", "status", "version", "revision", "updated", "description"]
_RUN_PREFIX = "run_"


def list_pipelines(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the pipelines with the status of the newest run and the newest version. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            pipelines = remote.items(connection, "pipeline")
        else:
            pipelines = msgspec.to_builtins(_with_catalog(data_dir, _summaries))
    if as_json:
        click.echo(msgspec.json.encode(pipelines).decode())
    else:
        output.show(_COLUMNS, pipelines)


def _summaries(_: Layout, store: Store) -> list[responses.PipelineLine]:
    found, total = Pipelines(store, SystemClock()).list(limit=1 << 31, offset=0)
    states = History(store).newest_statuses()
    return [responses.line(pipeline, states.get(pipeline.id, "idle")) for pipeline in found[:total]]


def print_log(run: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the log of a run, named by its id or, for its newest run, a pipeline. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            run_id = run if run.startswith(_RUN_PREFIX) else connection.get(f"pipeline/{run}/status")["run_id"]
            if run_id is None:
                raise _never_run(run)
            _print_lines(_lines(connection.stream("GET", f"runs/{run_id}/logs")), as_json=as_json)
            return
    _with_catalog(data_dir, lambda layout, store: _print_lines(_log_of(layout, store, run), as_json=as_json))


def _log_of(layout: Layout, store: Store, run: str) -> Iterator[bytes]:
    """The log lines of a run, or of the newest run of a pipeline."""
    history, clock = History(store), SystemClock()
    found = history.run(run) if run.startswith(_RUN_PREFIX) else history.newest_run(Pipelines(store, clock).get(run).id)
    if found is None:
        raise _never_run(run)
    return itertools.chain.from_iterable(Journals.of(layout, history, clock).log_lines(found.run_id))


def _never_run(pipeline: str) -> errors.Missing:
    return errors.Missing(f"the pipeline '{pipeline}' was never executed", code="RUN_NOT_FOUND", field="run")


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, each as soon as it is complete."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _print_lines(lines: Iterable[bytes], *, as_json: bool) -> None:
    for line in lines:
        click.echo(line.decode() if as_json else _readable(line))
    sys.stdout.flush()


def _readable(line: bytes) -> str:
    """A log line for people: time, level, event, and the other fields as ``name=value``."""
    fields: dict[str, Any] = msgspec.json.decode(line)
    time, level, event = (str(fields.pop(key, "")) for key in ("time", "level", "event"))
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if name != "run_id")
    return f"{time[:19].replace('T', ' ')} {level:7} {event}  {rest}".rstrip()


def _with_catalog(data_dir: str | None, work: Callable[[Layout, Store], T]) -> T:
    return session.with_catalog(session.existing(data_dir=data_dir), work)
