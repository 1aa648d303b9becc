"""Output for people: tables on standard output, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape as escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_PIPE_WIDTH = 120  # a pipe or file has no width


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


OUT, ERR = _console(stderr=False), _console(stderr=True)

_WIDEST = 60


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Table:
    """Rows as a table; columns of numbers are right-aligned."""
    listed = list(rows)
    grid = Table()
    for column in columns:
        numbers = all(isinstance(r.get(column), int | float) or r.get(column) is None for r in listed)
        grid.add_column(escape(column), justify="right" if numbers and listed else "left", overflow="fold")
    for row in listed:
        grid.add_row(*(escape(text(row.get(column))) for column in columns))
    return grid


def show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table, or, if the terminal is too narrow for it, each row as a block."""
    widest = sum(3 + max([len(c), *(len(text(r.get(c))) for r in rows)]) for c in columns) + 1
    if not OUT.is_terminal:
        OUT.width = max(OUT.width, widest)
    if widest <= OUT.width:
        OUT.print(table(columns, rows))
        return
    for number, row in enumerate(rows, 1):
        grid = Table.grid(padding=(0, 2))
        for column in columns:
            grid.add_row(f"[dim]{escape(column)}[/dim]", escape(text(row.get(column))))
        OUT.print(f"[bold]row {number}[/bold]")
        OUT.print(grid)


def count_of(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def text(value: Any) -> str:
    """A value for display."""
    if value is None:
        return "·"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.2f}"
    plain = str(value)
    return plain if len(plain) <= _WIDEST else plain[: _WIDEST - 1] + "…"


def size(count: float) -> str:
    """Bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """A number of seconds as people read it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def bar(console: Console) -> Progress:
    """A progress bar from 0 to 100 with a description and a ``rate``; hidden if the output is not a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
        disable=not console.is_terminal,
    )
