"""Error responses: every error, whatever layer raised it, as an answer with the one error body.

The status is that of the error's code (``kit.codes``). Errors that Litestar raises itself (routing, methods, headers)
are translated first. Any other exception is INTERNAL_ERROR: it is logged with its traceback, and the answer does not
show its text.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from service.kit import errors
from service.kit.codes import Code

LIMIT = "penstock.limit"
"""The key of a scope with the name of the limit that its request ran into."""
_FAULT = "the service failed to answer this; its log has the reason under the request id"

RAISED = "penstock.error"
_log = structlog.get_logger("penstock.api")


class MethodNotAllowed(errors.PenstockError):
    """The path exists, the method does not; ``allow`` lists those that do."""

    code: ClassVar[Code] = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this method is not allowed here; allowed: {allow}", allowed=allow.split(", "))
        self.allow = allow


class RangeNotSatisfiable(errors.PenstockError):
    """A range begins after the end of a file of ``size`` bytes."""

    code: ClassVar[Code] = "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__(f"the range begins after the end of the file, which has {size} bytes", field="range")
        self.size = size


def body_of(error: errors.PenstockError) -> dict[str, Any]:
    """The error body of the contract."""
    return {"error": {"code": error.error_code, "message": error.message, "details": error.details}}


def headers_of(error: errors.PenstockError) -> dict[str, str]:
    """The headers that belong to an error's family."""
    if isinstance(error, errors.Unauthenticated):
        known = error.error_code in ("UNAUTHORIZED", "TOKEN_EXPIRED")
        return {"www-authenticate": 'Bearer realm="penstock", error="invalid_token"' if known else "Bearer"}
    if isinstance(error, errors.Busy):
        seconds = str(max(1, math.ceil(error.retry_after)))
        if isinstance(error, errors.Throttled):  # the limit that it hit may be that of log-ins
            left = {"ratelimit-limit": str(error.most), "ratelimit-remaining": "0", "ratelimit-reset": seconds}
            return {"retry-after": seconds, **left}
        return {"retry-after": seconds}
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allow}
    if isinstance(error, RangeNotSatisfiable):
        return {"content-range": f"bytes */{error.size}", "accept-ranges": "bytes"}
    return {}


def translated(error: Exception) -> errors.PenstockError:
    """``error`` as an error of the product.

    A step that fails while a request waits for it is wrong with what the request names: the configuration, the
    source or the records. A run's own step errors are stored with the run and never raised here.
    """
    if isinstance(error, errors.StepError) and error.error_code == errors.StepError.code:
        return errors.Invalid(error.message, **error.details)
    if isinstance(error, errors.PenstockError):
        return error
    if isinstance(error, HTTPException):
        return _from_litestar(error)
    return errors.PenstockError(_FAULT)


def _from_litestar(error: HTTPException) -> errors.PenstockError:
    headers = {k.lower(): v for k, v in (error.headers or {}).items()}
    if error.status_code == 404:
        return errors.Missing("there is nothing at this path; GET /docs lists all routes")
    if error.status_code == 405:
        methods = {m.strip() for m in headers.get("allow", "").split(",") if m.strip()}
        if "GET" in methods:
            methods.add("HEAD")
        return MethodNotAllowed(", ".join(sorted(methods)))
    if error.status_code == 413:
        return errors.TooLarge("the request is too large")
    if error.status_code < 500:
        return errors.Invalid(f"the request is malformed: {error.detail}")
    return errors.PenstockError(_FAULT)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's one exception handler. It leaves the error in the ASGI scope (``RAISED``) for who records it."""
    request.scope[RAISED] = error  # type: ignore[literal-required]
    return respond(error, request.scope)


def respond(error: Exception, scope: Scope) -> Response[bytes]:
    """The answer to an error; a fault of the service is logged. ``limit`` of ``scope`` names a limit that it hit."""
    known = translated(error)
    if isinstance(known, errors.Busy):
        scope[LIMIT] = known.limit  # type: ignore[literal-required]
    status = known.entry.status
    if status == 500:
        _log.error("request.failed", exc_info=error)
    return Response(
        msgspec.json.encode(body_of(known)),
        status_code=status,
        headers=headers_of(known),
        media_type="application/json",
    )
