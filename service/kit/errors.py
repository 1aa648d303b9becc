"""Every error that Penstock raises on purpose, in one tree.

::

    PenstockError            code INTERNAL_ERROR
    ├── Invalid              the caller's input is wrong
    ├── TimedOut             it took longer than allowed
    ├── Unauthenticated      who are you?
    ├── Forbidden            you may not
    ├── Missing              there is no such thing
    ├── NotAcceptable        we cannot answer in that form
    ├── Unsupported          we cannot read that form
    ├── Conflict             not in this state
    │   └── Stale            If-Match named an older revision
    ├── TooLarge             more than the limit
    ├── Throttled            too often (carries ``retry_after`` seconds)
    ├── Unavailable          not now (carries ``retry_after`` seconds)
    └── StepError            a collector, processor or storage failed
        ├── Transient        may work later (carries ``delay`` seconds)
        └── Permanent        will fail again

A family has a default code; an instance may name a finer one. What a code means to HTTP and to the command line is
in ``kit.codes``. An error crosses a process border as its ``Body`` (``as_body`` and ``from_body``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from service.kit.codes import CODES, Code, Entry, is_known


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong at one place. ``field`` is a path such as ``processors[1].config.cast.price``."""

    field: str
    message: str


class Body(msgspec.Struct, frozen=True):
    """The value under ``"error"`` in every error answer, and an error between processes.

    ``code`` is a ``Code``, but a stored error may have been written by another release.
    """

    code: str
    message: str
    details: dict[str, Any] = {}
    kind: str = "PenstockError"


class PenstockError(Exception):
    """Base of the tree. ``message`` says what is wrong and what to do; ``details`` is JSON-able."""

    code: ClassVar[Code] = "INTERNAL_ERROR"

    def __init__(self, message: str, *, code: Code | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.error_code: Code = code or self.code
        self.details: dict[str, Any] = {k: v for k, v in details.items() if v is not None}

    @property
    def entry(self) -> Entry:
        """What the code means: HTTP status, exit code, text."""
        return CODES[self.error_code]

    def as_body(self) -> Body:
        """The error as a value that can be sent or stored."""
        return Body(self.error_code, self.message, self.details, type(self).__name__)


class Invalid(PenstockError):
    code: ClassVar[Code] = "VALIDATION_ERROR"

    @classmethod
    def of(cls, problems: Iterable[Problem], what: str = "configuration") -> Invalid:
        """One error for several problems: all in ``details.errors``, the first in ``details.field``."""
        found = list(problems)
        first = found[0]
        message = f"{first.field}: {first.message}" if first.field else first.message
        if len(found) > 1:
            message = f"{len(found)} problems in the {what}; the first: {message}"
        errors = [{"field": p.field, "message": p.message} for p in found]
        return cls(message, field=first.field, errors=errors)


class TimedOut(PenstockError):
    code: ClassVar[Code] = "QUERY_TIMEOUT"


class Unauthenticated(PenstockError):
    code: ClassVar[Code] = "UNAUTHORIZED"


class Forbidden(PenstockError):
    code: ClassVar[Code] = "FORBIDDEN"


class Missing(PenstockError):
    code: ClassVar[Code] = "NOT_FOUND"


class NotAcceptable(PenstockError):
    code: ClassVar[Code] = "NOT_ACCEPTABLE"


class Unsupported(PenstockError):
    code: ClassVar[Code] = "UNSUPPORTED_MEDIA_TYPE"


class Conflict(PenstockError):
    code: ClassVar[Code] = "CONFLICT"


class Stale(Conflict):
    code: ClassVar[Code] = "REVISION_CONFLICT"


class TooLarge(PenstockError):
    code: ClassVar[Code] = "PAYLOAD_TOO_LARGE"


class Throttled(PenstockError):
    code: ClassVar[Code] = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_after: float = 1.0, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class Unavailable(PenstockError):
    code: ClassVar[Code] = "OVERLOADED"

    def __init__(self, message: str, *, retry_after: float = 1.0, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class StepError(PenstockError):
    """A step of a run failed. ``details.step`` names it, ``details.field`` the setting where there is one."""

    code: ClassVar[Code] = "STEP_FAILED"


class Transient(StepError):
    """May work on another attempt, after ``delay`` seconds where the source said so."""

    def __init__(self, message: str, *, delay: float | None = None, **details: Any) -> None:
        super().__init__(message, delay=delay, **details)
        self.delay = delay


class Permanent(StepError):
    """Will fail again with the same configuration and the same source."""


def _families() -> dict[str, type[PenstockError]]:
    found: dict[str, type[PenstockError]] = {}
    pending: list[type[PenstockError]] = [PenstockError]
    while pending:
        family = pending.pop()
        found[family.__name__] = family
        pending.extend(family.__subclasses__())
    return found


def from_body(body: Body) -> PenstockError:
    """The error that another process sent as a ``Body``, of the same family."""
    family = _families().get(body.kind, PenstockError)
    error = family.__new__(family)
    PenstockError.__init__(error, body.message, code=body.code if is_known(body.code) else None)
    error.details = dict(body.details)
    if isinstance(error, Throttled | Unavailable):
        error.retry_after = 1.0
    if isinstance(error, Transient):
        error.delay = body.details.get("delay")
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` where a known name is close, else an empty string."""
    import difflib  # costs 4 ms and is wanted only when something is wrong

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
