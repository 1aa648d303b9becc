"""Failure: how a command ends when it cannot do what was asked.

A person at a terminal reads the message and the places; a program (``--json``, or standard error that is no
terminal) gets the error body that the REST API gives too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import msgspec

from service.kit import errors

EXIT_CODES: dict[type[errors.PenstockError], int] = {
    errors.PenstockError: 1,
    errors.StepError: 1,
    errors.Invalid: 2,
    errors.NotAcceptable: 2,
    errors.Missing: 3,
    errors.Conflict: 4,
    errors.Forbidden: 5,
    errors.Unauthenticated: 5,
    errors.TooLarge: 6,
    errors.TimedOut: 7,
    errors.Unavailable: 8,
    errors.Throttled: 8,
}
"""What a command ends with, by the family of its error; found along the MRO."""


class Ended(Exception):
    """A command that has said what is wrong and ends with ``code``."""

    def __init__(self, code: int = 1) -> None:
        super().__init__(code)
        self.code = code


def exit_code(error: errors.PenstockError) -> int:
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def shape(body: errors.Body) -> dict[str, object]:
    """The error as every part of the product shows it."""
    return {"error": {"code": body.code, "message": body.message, "details": body.details}}


def say(body: errors.Body, *, as_json: bool) -> None:
    """Tell what went wrong: on standard output for ``--json``, else on standard error."""
    if as_json or not sys.stderr.isatty():
        click.echo(msgspec.json.encode(shape(body)).decode(), err=not as_json)
        return
    click.echo(f"{click.style('error', fg='red', bold=True)} {body.code}: {body.message}", err=True)
    problems = body.details.get("errors") or []
    for problem in problems:
        click.echo(f"  {click.style(problem['field'], bold=True)}: {problem['message']}", err=True)
    where = [f"{key}: {body.details[key]}" for key in ("step", "field") if body.details.get(key) and not problems]
    if where:
        click.echo(f"  {', '.join(where)}", err=True)


@contextmanager
def reported(as_json: Callable[[], bool]) -> Iterator[None]:
    """Errors of the product become what ``say`` says and the exit code of their family."""
    try:
        yield
    except errors.PenstockError as error:
        say(error.as_body(), as_json=as_json())
        raise SystemExit(exit_code(error)) from None
    except Ended as ended:
        raise SystemExit(ended.code) from None
    except BrokenPipeError:  # `penstock query … | head`
        sys.stderr.close()
        raise SystemExit(141) from None
