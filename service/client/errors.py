"""What a request to the service can raise: one class for each kind of refusal, with the service's own code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.client.answers import Run


class ServiceError(Exception):
    """The service refused a request.

    ``status`` is the HTTP status; ``code``, ``message`` and ``details`` are those of its error body. ``field`` names
    what was wrong, ``problems`` lists every problem, ``request_id`` is in the service's log, and ``retry_after`` is the
    number of seconds after which to try again; each is None (or empty) if the service did not say.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: dict[str, Any],
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def field(self) -> str | None:
        """The field of the request that was wrong."""
        return self.details.get("field")

    @property
    def problems(self) -> list[dict[str, str]]:
        """Every problem, each with its ``field`` and ``message``."""
        return list(self.details.get("errors", []))

    @property
    def hint(self) -> str | None:
        """What was probably meant, if the service has a guess."""
        _, found, rest = self.message.partition("did you mean ")
        return rest.partition("?")[0].strip("'") if found else None

    def __str__(self) -> str:
        lines = [f"{problem['field']}: {problem['message']}" for problem in self.problems]
        return "\n".join([f"{self.message} ({self.code})", *(lines if len(lines) > 1 else [])])


class InvalidError(ServiceError):
    """The request is wrong (400, 406, 413, 415): a configuration, a statement, a parameter."""


class NotLoggedInError(ServiceError):
    """The request names no user, or the name or password is wrong (401)."""


class NotAllowedError(ServiceError):
    """The user may not do this (403)."""


class NotFoundError(ServiceError):
    """There is nothing by this name (404)."""


class ConflictError(ServiceError):
    """It conflicts with the present state (409, 412): a name that is taken, a run that is going, a revision."""


class RateLimitedError(ServiceError):
    """Too many requests, also after the retries (429)."""


class OverloadedError(ServiceError):
    """The service is too busy, also after the retries (503)."""


class NoService(Exception):
    """There is no service at the URL, or the connection to it broke."""


class RunFailed(Exception):
    """A run ended without storing a version: it failed, was cancelled or interrupted. ``run`` is the run."""

    def __init__(self, run: Run) -> None:
        error = run.error or {}
        super().__init__(
            f"the run {run.run_id} of '{run.pipeline}' {run.status}: {error.get('message', '')}".rstrip(": ")
        )
        self.run = run
        self.code: str | None = error.get("code")
        self.details: dict[str, Any] = error.get("details", {})


_CLASSES: dict[int, type[ServiceError]] = {
    400: InvalidError, 401: NotLoggedInError, 403: NotAllowedError, 404: NotFoundError, 406: InvalidError,
    409: ConflictError, 412: ConflictError, 413: InvalidError, 415: InvalidError, 429: RateLimitedError,
    503: OverloadedError,
}  # fmt: skip


def error_of(
    status: int, content: bytes, request_id: str | None = None, retry_after: str | None = None
) -> ServiceError:
    """The error in the answer of a route."""
    seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    try:
        error = json.loads(content)["error"]
        code, message, details = str(error["code"]), str(error["message"]), dict(error["details"])
    except (ValueError, KeyError, TypeError):
        code, message = "INTERNAL_ERROR", f"the answer with status {status} is not one of Penstock"
        details = {}
    kind = _CLASSES.get(status, ServiceError)
    return kind(status, code, message, details, request_id=request_id, retry_after=seconds)
