"""Translation of errors from Polars and the disk into errors of the project.

``TABLE`` names every exception that Polars can raise (a test gets the list from Polars). Polars' messages contain the
plan and file paths; only the first paragraph is used, with paths cut to file names.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from service.kit import errors

_MOST = 600
_PLAIN = "{}"

TABLE: dict[type[BaseException], str] = {
    pl.exceptions.ColumnNotFoundError: "no such column: {}",
    pl.exceptions.SchemaFieldNotFoundError: "no such column: {}",
    pl.exceptions.StructFieldNotFoundError: "no such field: {}",
    pl.exceptions.DuplicateError: "two columns of one name: {}",
    pl.exceptions.ComputeError: _PLAIN,
    pl.exceptions.InvalidOperationError: _PLAIN,
    pl.exceptions.SchemaError: "the columns do not have the expected types: {}",
    pl.exceptions.ShapeError: "the lengths do not match: {}",
    pl.exceptions.OutOfBoundsError: _PLAIN,
    pl.exceptions.NoDataError: "there is nothing to read: {}",
    pl.exceptions.RowsError: _PLAIN,
    pl.exceptions.NoRowsReturnedError: _PLAIN,
    pl.exceptions.TooManyRowsReturnedError: _PLAIN,
    pl.exceptions.SQLInterfaceError: "the expression uses SQL that is not supported: {}",
    pl.exceptions.SQLSyntaxError: "the expression is not valid SQL: {}",
    pl.exceptions.StringCacheMismatchError: _PLAIN,
    pl.exceptions.ParameterCollisionError: _PLAIN,
    pl.exceptions.UnsuitableSQLError: _PLAIN,
    pl.exceptions.PolarsError: _PLAIN,
    pl.exceptions.ArgumentRemovedError: "the installed engine does not match the service: {}",
    pl.exceptions.AttributeRemovedError: "the installed engine does not match the service: {}",
    pl.exceptions.ModuleUpgradeRequiredError: "the installed engine does not match the service: {}",
    pl.exceptions.PanicException: "the engine failed with an internal error; please report the pipeline: {}",
    MemoryError: "the run needs more memory than its limit; raise PENSTOCK_RUN_MEMORY_LIMIT or drop columns",
}
"""The message of each kind; the first along the exception's MRO is used."""

FOREIGN: tuple[type[BaseException], ...] = (*TABLE, OSError)

_CAUGHT: tuple[type[BaseException], ...] = (errors.StepError, *FOREIGN)

_OURS = re.compile(r'\["(?:at (?P<step>[^|]*)\|(?P<field>.*?)\|)?(?P<message>column .*?)(?:", "|"\])', re.DOTALL)
_PLACED = re.compile(r"\x1eat (?P<step>[^\x1f]*)\x1f(?P<field>[^\x1f]*)\x1f(?P<said>.*?)\x1e", re.DOTALL)
_UNSAID = str.maketrans("\x1e\x1f", "  ")
_PATH = re.compile(r"(?:file://)?(?:/[^\s/:'\"\])]+)+/([^\s/:'\"\])]+)")


def translate(error: BaseException, step: str | None) -> errors.StepError:
    """The error as a ``Permanent``, or as a ``Transient`` if the disk is full or a resource was busy.

    A ``StepError`` is returned as it is, with ``step`` added if it names none.
    """
    if isinstance(error, errors.StepError):
        if step is not None:
            error.details.setdefault("step", step)
        return error
    if isinstance(error, OSError):
        return _disk(error, step)
    found = _PLACED.search(str(error))
    if found:
        return errors.Permanent(found["said"], step=found["step"] or step, field=found["field"] or None)
    ours = _OURS.search(str(error))
    if ours:
        return errors.Permanent(_unescaped(ours["message"]), step=ours["step"] or step, field=ours["field"])
    for kind in type(error).__mro__:
        if kind in TABLE:
            return errors.Permanent(TABLE[kind].format(_first_sentence(str(error))), step=step)
    return errors.Permanent(f"unexpected {type(error).__name__}: {_first_sentence(str(error))}", step=step)


def placed(message: str, at: tuple[str, str] | None) -> pl.exceptions.ComputeError:
    """An error that Python code inside a plan may raise; ``translate`` makes of it ``message`` and the place ``at``.

    Polars adds to the texts of such errors and keeps nothing else of them, so that all is in the text.
    """
    step, field = at or ("", "")
    parts = (part.translate(_UNSAID) for part in (step, field, message))  # names and values may hold any character
    return pl.exceptions.ComputeError("\x1eat " + "\x1f".join(parts) + "\x1e")


@contextmanager
def attributed(step: str | None) -> Iterator[None]:
    """Errors of Polars and the disk inside become errors of ``step``; step errors without a step get it.

    A ``MemoryError`` passes: whoever started the job knows its limit.
    """
    try:
        yield
    except MemoryError:
        raise
    except _CAUGHT as error:
        translated = translate(error, step)
        if translated is error:
            raise
        raise translated from error


def _disk(error: OSError, step: str | None) -> errors.StepError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.Transient("the disk is full; free space or move PENSTOCK_DATA_DIR", step=step)
    if error.errno in (errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE):
        return errors.Transient(f"the system lacks a resource: {error.strerror}", step=step)
    if "no space left" in str(error).lower():
        return errors.Transient("the disk is full; free space or move PENSTOCK_DATA_DIR", step=step)
    return errors.Permanent(f"cannot read or write: {_first_sentence(str(error))}", step=step)


def _first_sentence(text: str) -> str:
    first = re.split(r"\n\s*\n|\n\nResolved plan|This error occurred", text, maxsplit=1)[0]
    clean = _PATH.sub(r"\1", " ".join(first.split()))
    return clean if len(clean) <= _MOST else clean[: _MOST - 3] + "..."


def _unescaped(text: str) -> str:
    clean = text.replace('\\"', '"')
    return clean if len(clean) <= _MOST else clean[: _MOST - 3] + "..."
