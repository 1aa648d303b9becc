"""The events of a run as they arrive, and a progress bar in terminals and notebooks."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

_HAS_WIDGETS = importlib.util.find_spec("ipywidgets") is not None  # without them rich only warns
Advance = Callable[[dict[str, Any]], None]


class EventParser:
    """Server-sent events out of the parts of a stream. ``last`` is the id of the last event."""

    def __init__(self) -> None:
        self.last = ""
        self._rest = b""
        self._kind = ""

    def feed(self, part: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that ``part`` completes: their kind and their object."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b": ")
            if name == b"id":
                self.last = value.decode()
            elif name == b"event":
                self._kind = value.decode()
            elif name == b"data":
                yield self._kind, json.loads(value)

    def reconnect(self) -> dict[str, str]:
        """Begin again after the last event: the headers of the next request."""
        self._rest = b""
        return {"last-event-id": self.last} if self.last else {}


class Bar:
    """A progress bar of a run; nothing where the output is neither a terminal nor a notebook with ipywidgets."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"), console=console,
            disable=not (console.is_terminal or (console.is_jupyter and _HAS_WIDGETS)),
        )  # fmt: skip
        self._task = self._progress.add_task(name, total=100, state="queued")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show the state that an event about the run has."""
        state = event.get("step") or event.get("phase") or event.get("status") or ""
        self._progress.update(self._task, completed=float(event.get("progress") or 0.0), state=state)


class Quiet:
    """Passes the events about a run on, and shows nothing."""

    def __init__(self, advance: Advance | None = None) -> None:
        self._advance = advance

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def __call__(self, event: dict[str, Any]) -> None:
        if self._advance is not None:
            self._advance(event)


def shown(name: str, progress: bool | Advance) -> Bar | Quiet:
    """What shows the progress of a run: a bar, nothing, or a function that gets each event."""
    if progress is True:
        return Bar(name)
    return Quiet(progress if callable(progress) else None)
