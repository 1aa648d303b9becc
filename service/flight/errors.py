"""Errors as statuses of gRPC. A refusal of the REST API keeps its code in the message."""

from __future__ import annotations

from grpc import StatusCode

from service.client.errors import NoService, ServiceError

_MOST_CHARACTERS = 2_000  # a client refuses trailers of more than 8 KiB
_BY_STATUS: dict[int, StatusCode] = {
    400: StatusCode.INVALID_ARGUMENT, 401: StatusCode.UNAUTHENTICATED, 403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND, 409: StatusCode.FAILED_PRECONDITION, 413: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED, 503: StatusCode.UNAVAILABLE,
}  # fmt: skip
_BY_CODE: dict[str, StatusCode] = {
    "QUERY_TIMEOUT": StatusCode.DEADLINE_EXCEEDED, "OVERLOADED": StatusCode.RESOURCE_EXHAUSTED,
    "QUERY_TOO_LARGE": StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL": StatusCode.RESOURCE_EXHAUSTED,
}  # fmt: skip


class Refused(Exception):
    """A call that is answered with a status other than OK."""

    def __init__(self, message: str, code: StatusCode = StatusCode.INVALID_ARGUMENT) -> None:
        super().__init__(message if len(message) <= _MOST_CHARACTERS else f"{message[:_MOST_CHARACTERS]}…")
        self.code = code


def refusal(error: ServiceError | NoService) -> Refused:
    """What a Flight client sees of an error of the API: UNAUTHENTICATED for 401, INVALID_ARGUMENT for 400 and so on."""
    if isinstance(error, NoService):
        return Refused(f"the service cannot be reached, or broke the answer off: {error}", StatusCode.UNAVAILABLE)
    code = _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, StatusCode.INTERNAL)
    wait = f"; try again after {error.retry_after:g} s" if error.retry_after is not None else ""
    return Refused(f"{error}{wait}", code)


def read_only(what: str) -> Refused:
    """The refusal of what would change data."""
    text = f"{what} is refused: tables are read-only here, pipelines write them (READ_ONLY)"
    return Refused(text, StatusCode.UNIMPLEMENTED)
