"""Errors of commands: what they print and the exit code that they end with (``kit.codes``).

They are text for people on standard error; with ``--json`` they are the REST API's error body on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import msgspec

from service.kit import errors


class Ended(Exception):
    """Ends a command with the exit code ``code``, after it printed what is wrong."""

    def __init__(self, code: int = 1) -> None:
        super().__init__(code)
        self.code = code


def error_body(body: errors.Body) -> dict[str, object]:
    """The error body, as in the answers of the API."""
    return {"error": {"code": body.code, "message": body.message, "details": body.details}}


def print_error(body: errors.Body, *, as_json: bool) -> None:
    """Print an error: its body on standard output with ``--json``, else its text on standard error."""
    if as_json:
        click.echo(msgspec.json.encode(error_body(body)).decode())
        return
    click.echo(f"{click.style('error', fg='red', bold=True)} {body.code}: {body.message}", err=True)
    problems = body.details.get("errors") or []
    for problem in problems:
        click.echo(f"  {click.style(problem['field'], bold=True)}: {problem['message']}", err=True)
    where = [f"{key}: {body.details[key]}" for key in ("step", "field") if body.details.get(key) and not problems]
    if where:
        click.echo(f"  {', '.join(where)}", err=True)


@contextmanager
def report(as_json: Callable[[], bool]) -> Iterator[None]:
    """Print errors of the product and end with the exit code of their code."""
    try:
        yield
    except errors.PenstockError as error:
        print_error(error.as_body(), as_json=as_json())
        raise SystemExit(error.entry.exit) from None
    except Ended as ended:
        raise SystemExit(ended.code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # `penstock query … | head`
        sys.stderr.close()
        raise SystemExit(141) from None
