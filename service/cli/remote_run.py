"""A pipeline file that a running service runs: the configuration is saved there, and the run followed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from service.client.connection import Connection
from service.client.errors import ServiceError
from service.model import masking
from service.model.pipeline import Pipeline
from service.model.run import Run

_LOADING_SECONDS = 0.2


def execute(
    connection: Connection, pipeline: Pipeline, advance: Callable[[dict[str, Any]], None], *, full_refresh: bool
) -> Run:
    """Save the pipeline (a new revision if it changed), run it, and wait until all its storages are ready.

    ``advance`` gets the data of each event about status and progress. Raises ``ServiceError``, ``NoService``.
    """
    _save(connection, pipeline)
    flag = str(full_refresh).lower()
    run_id = connection.send("POST", f"pipeline/{pipeline.name}/execute?wait=0&full_refresh={flag}")["run_id"]
    for kind, data in _events(connection, run_id):
        if kind in ("status", "progress"):
            advance(data)
    while True:
        run = msgspec.convert(connection.get(f"runs/{run_id}"), Run)
        if run.ended and all(stored.state != "loading" for stored in run.storage):
            return run
        time.sleep(_LOADING_SECONDS)


def _save(connection: Connection, pipeline: Pipeline) -> None:
    try:
        connection.send("POST", "pipeline/create", pipeline.document)
    except ServiceError as error:
        if error.code != "PIPELINE_EXISTS":
            raise
        shown, path = masking.masked(pipeline.document), f"pipeline/{pipeline.name}/config"
        if shown != pipeline.document or connection.get(path) != shown:  # a masked secret may be another one
            connection.send("PUT", path, pipeline.document)


def _events(connection: Connection, run_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server-sent events of a run, until it has ended."""
    rest, kind = b"", ""
    for part in connection.stream("GET", f"runs/{run_id}/events"):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b": ")
            if name == b"event":
                kind = value.decode()
            elif name == b"data":
                yield kind, json.loads(value)
