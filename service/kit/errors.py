"""The tree of all errors that Penstock raises on purpose.

::

    PenstockError            code INTERNAL_ERROR
    ├── Invalid              the caller's input is wrong
    ├── TimedOut             the answer took longer than allowed
    ├── Unauthenticated      the user is unknown
    ├── Forbidden            the user may not do this
    ├── Missing              the named thing does not exist
    ├── NotAcceptable        the answer does not exist in that format
    ├── Unsupported          the body has a format that is not read
    ├── Conflict             impossible in the present state
    │   └── Stale            If-Match named an older revision
    ├── TooLarge             the body exceeds the limit
    ├── Busy                 another try may succeed (has ``retry_after`` in seconds)
    │   ├── Throttled        too many requests
    │   └── Unavailable      the service is too busy
    └── StepError            a collector, processor or storage failed
        ├── Transient        another attempt may succeed (has ``delay`` in seconds)
        └── Permanent        another attempt will fail, too

A family has a default code; an instance may name a finer one. What a code means to HTTP and to the command line is
in ``kit.codes``. An error crosses a process border as its ``Body`` (``as_body`` and ``from_body``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from service.kit.codes import CODES, Code, Entry, is_known

MOST_PROBLEMS = 100
"""How many problems an error lists."""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one field. ``field`` is a path such as ``processors[1].config.cast.price``."""

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
        """One error for several problems: in ``details.errors`` (100 at most), the first in ``details.field``."""
        found = list(itertools.islice(problems, MOST_PROBLEMS + 1))
        listed = found[:MOST_PROBLEMS]
        first = listed[0]
        message = f"{first.field}: {first.message}" if first.field else first.message
        if len(listed) > 1:
            number = len(listed) if len(found) == len(listed) else f"more than {MOST_PROBLEMS}"
            message = f"{number} problems in the {what}; the first: {message}"
        errors = [{"field": p.field, "message": p.message} for p in listed]
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


class Busy(PenstockError):
    """The same request may succeed after ``retry_after`` seconds. ``limit`` names what it ran into."""

    code: ClassVar[Code] = "OVERLOADED"
    limit: str = "other"

    def __init__(self, message: str, *, retry_after: float = 1.0, limit: str = "other", **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after
        self.limit = limit


class Throttled(Busy):
    """``most`` is how often the caller may do this in a minute."""

    code: ClassVar[Code] = "RATE_LIMITED"
    most: int = 0

    def __init__(self, message: str, *, most: int = 0, retry_after: float = 1.0, limit: str = "other") -> None:
        super().__init__(message, retry_after=retry_after, limit=limit)
        self.most = most


class Unavailable(Busy):
    code: ClassVar[Code] = "OVERLOADED"


class StepError(PenstockError):
    """A step of a run failed. ``details.step`` names it, ``details.field`` the setting where there is one."""

    code: ClassVar[Code] = "STEP_FAILED"


class Transient(StepError):
    """Another attempt may succeed, after ``delay`` seconds if the source named them."""

    def __init__(self, message: str, *, delay: float | None = None, **details: Any) -> None:
        super().__init__(message, delay=delay, **details)
        self.delay = delay


class Permanent(StepError):
    """Another attempt with the same configuration and source will fail, too."""


def _families() -> dict[str, type[PenstockError]]:
    families: dict[str, type[PenstockError]] = {}
    pending: list[type[PenstockError]] = [PenstockError]
    while pending:
        family = pending.pop()
        families[family.__name__] = family
        pending.extend(family.__subclasses__())
    return families


def from_body(body: Body) -> PenstockError:
    """The error that another process sent as a ``Body``, of the same family."""
    family = _families().get(body.kind, PenstockError)
    error = family.__new__(family)
    PenstockError.__init__(error, body.message, code=body.code if is_known(body.code) else None)
    error.details = dict(body.details)
    if isinstance(error, Busy):
        error.retry_after = 1.0
    if isinstance(error, Transient):
        error.delay = body.details.get("delay")
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known name that is close to ``name``, else an empty string."""
    import difflib  # takes 4 ms, and only errors need it

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
