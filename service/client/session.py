"""A login, the headers of requests, and when a request is sent again. No request is made here."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import httpx

from service.client.answers import JsonObject
from service.client.errors import NoService, ServiceError, error_of
from service.kit import struct_types

if TYPE_CHECKING:
    from service.client.calls import Call  # which needs Polars

VARIABLE = "PENSTOCK_TOKEN"
_LONGEST_SECONDS = 30.0


class Session:
    """The tokens of a user: a given one, or those of a login by ``username`` and ``password``."""

    def __init__(self, token: str | None, username: str | None, password: str | None, retries: int) -> None:
        if (username is None) != (password is None):
            raise ValueError("give a username and a password, or a token")
        if token is not None and username is not None:
            raise ValueError("give a token, or a username and a password, not both")
        struct_types.prepare()  # clients are used in several threads
        self.credentials = (username, password) if username is not None and password is not None else None
        self._token = token if token is not None or self.credentials else os.environ.get(VARIABLE)
        self.refresh_token: str | None = None
        self._retries = retries

    @property
    def must_log_in(self) -> bool:
        """Whether there are credentials and no token yet."""
        return self._token is None and self.credentials is not None

    @property
    def logged_in(self) -> bool:
        """Whether the token is of a login of this session, which ``close`` ends."""
        return self._token is not None and self.credentials is not None

    def keep(self, pair: JsonObject) -> None:
        """Take the tokens of a login."""
        self._token, self.refresh_token = str(pair["access_token"]), str(pair["refresh_token"])

    def forget(self) -> None:
        """Drop the tokens."""
        self._token = self.refresh_token = None

    def renew_with(self, password: str) -> None:
        """Drop the tokens, which a new password has ended, and log in with it from now on."""
        if self.credentials is not None:
            self.credentials = (self.credentials[0], password)
            self.forget()

    def headers(self, call: Call[Any]) -> dict[str, str]:
        """The headers of a request."""
        known = {"authorization": f"Bearer {self._token}"} if self._token is not None else {}
        return {**known, **call.headers}

    def may_renew(self, error: ServiceError) -> bool:
        """Whether a new login may help: the token of this session's login is too old, or its session has ended."""
        return error.status == 401 and self.logged_in and error.code != "INVALID_CREDENTIALS"

    def pause(self, error: ServiceError | NoService, attempt: int) -> float | None:
        """The seconds until a request is sent again after ``attempt`` tries; None if its error is final."""
        if attempt > self._retries or not (isinstance(error, NoService) or error.status in (429, 503)):
            return None
        backoff: float = min(0.1 * 2.0**attempt, _LONGEST_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311 - only spreads them
        told = error.retry_after if isinstance(error, ServiceError) else None
        if told is not None and told > _LONGEST_SECONDS:
            return None
        return max(backoff, told or 0.0)


def failure(response: httpx.Response) -> ServiceError | None:
    """The error that a response carries, which was read; None if it is a success."""
    if response.status_code < 400:
        return None
    headers = response.headers
    return error_of(response.status_code, response.content, headers.get("x-request-id"), headers.get("retry-after"))


def unreached(error: Exception) -> NoService:
    """The error of a connection that failed."""
    return NoService(str(error) or type(error).__name__)
