"""Failures: every error, whatever layer raised it, as an answer with the one error body.

Statuses are one table keyed by family and looked up along the MRO. What Litestar raises by itself (routing,
methods, headers) is translated first; everything unknown is INTERNAL_ERROR, logged with its traceback, and says
nothing of itself.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from service.kit import errors

STATUSES: dict[type[errors.PenstockError], int] = {
    errors.PenstockError: 500,
    errors.Invalid: 400,
    errors.TimedOut: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Missing: 404,
    errors.NotAcceptable: 406,
    errors.Unsupported: 415,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.Throttled: 429,
    errors.Unavailable: 503,
    errors.StepError: 500,
}

_log = structlog.get_logger("penstock.api")


class MethodNotAllowed(errors.PenstockError):
    """The path exists, the method does not; ``allow`` lists those that do."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this method is not allowed here; allowed: {allow}", allowed=allow.split(", "))
        self.allow = allow


STATUSES[MethodNotAllowed] = 405


def status_of(error: errors.PenstockError) -> int:
    """The HTTP status of an error's family."""
    return next(STATUSES[c] for c in type(error).__mro__ if c in STATUSES)


def body_of(error: errors.PenstockError) -> dict[str, Any]:
    """The error body of the contract."""
    return {"error": {"code": error.error_code, "message": error.message, "details": error.details}}


def headers_of(error: errors.PenstockError) -> dict[str, str]:
    """The headers that belong to an error's family."""
    if isinstance(error, errors.Unauthenticated):
        known = error.error_code in ("UNAUTHORIZED", "TOKEN_EXPIRED")
        return {"www-authenticate": 'Bearer realm="penstock", error="invalid_token"' if known else "Bearer"}
    if isinstance(error, errors.Throttled | errors.Unavailable):
        return {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allow}
    return {}


def translated(error: Exception) -> errors.PenstockError:
    """``error`` as one of ours."""
    if isinstance(error, errors.PenstockError):
        return error
    if isinstance(error, HTTPException):
        return _of_the_framework(error)
    return errors.PenstockError("the service failed to answer this; the request id finds the reason in its log")


def _of_the_framework(error: HTTPException) -> errors.PenstockError:
    headers = {k.lower(): v for k, v in (error.headers or {}).items()}
    if error.status_code == 404:
        return errors.Missing("there is nothing at this path; GET /docs lists what there is")
    if error.status_code == 405:
        methods = sorted(m.strip() for m in headers.get("allow", "").split(","))
        return MethodNotAllowed(", ".join(m for m in methods if m))
    if error.status_code == 413:
        return errors.TooLarge("the request is too large")
    if error.status_code < 500:
        return errors.Invalid(f"the request is malformed: {error.detail}")
    return errors.PenstockError("the service failed to answer this; the request id finds the reason in its log")


def handle(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's one exception handler."""
    return respond(error)


def respond(error: Exception) -> Response[bytes]:
    """The answer to an error; what was not foreseen is logged."""
    known = translated(error)
    status = status_of(known)
    if status == 500:
        _log.error("request.failed", exc_info=error)
    return Response(
        msgspec.json.encode(body_of(known)),
        status_code=status,
        headers=headers_of(known),
        media_type="application/json",
    )
