"""Requests to an object store: how they are sent, tried again and given up, and what their errors mean.

obstore is imported by the first ``Requests``, so that who has no object store pays nothing for it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog

from service.kit import errors, store_url

SETTING = "PENSTOCK_WAREHOUSE_URL"
_PAUSES = (0.1, 0.4, 1.0, 1.0)  # seconds between tries
_LONGEST_REQUEST = 30.0
_STATUS = re.compile(r"status code: (\d{3}(?: [A-Z][A-Za-z ]*)?)")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")  # Azure's word is the second
_PROVIDERS = ("AWS_", "AZURE_", "GOOGLE_")  # how the names of their variables begin
_ADDRESSES = ("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_S3", "BASE_URL")  # and how those of addresses end

_T = TypeVar("_T")
_log = structlog.get_logger("penstock.store")


class NoObject(Exception):
    """There is no object with this key."""


class Changed(Exception):
    """The object is not the one that was read, or exists although it was to be created."""


class DamagedObject(Exception):
    """An object, or the file that was to become one, has another size or checksum than is recorded of it."""


class Requests:
    """Requests to the store at ``url``; one that has no success within ``seconds`` is given up.

    ``store`` is obstore's own, for ``work`` that is given to ``call``.
    """

    def __init__(self, url: str, seconds: float, environment: Mapping[str, str], setting: str = SETTING) -> None:
        """Raises ``errors.Invalid``, naming the ``setting``, if the URL cannot be used. Asks nothing of the store."""
        self._setting = setting
        wrong = store_url.fault(url)
        if wrong is not None:
            raise errors.Invalid(f"{self._setting} {wrong}", field=self._setting)
        self._url = url
        self._seconds = seconds
        self._closed = threading.Event()
        try:
            self.store = self._opened(store_url.folder_of(url), environment)
        except ImportError as error:
            raise errors.Invalid(
                f"{self._setting} needs the extra 'cluster' ({error}): pip install 'penstock[cluster]'",
                field=self._setting,
            ) from error

    def close(self) -> None:
        """Try no request again: the service is stopping."""
        self._closed.set()

    def check(self) -> None:
        """Look once whether the store can be used. Raises ``errors.Invalid`` if it cannot, ``errors.Unavailable``."""
        api = _api()
        try:
            api.get(self.store, "current.json")
        except FileNotFoundError as error:  # a bucket without the object is answered in the same way, except for this
            if any(code in str(error) for code in _NO_BUCKET):
                raise errors.Invalid(
                    f"{self._setting} names a bucket that does not exist", field=self._setting
                ) from None
        except (api.exceptions.PermissionDeniedError, api.exceptions.UnauthenticatedError) as error:
            raise errors.Invalid(
                f"{self._setting}: the object store refuses the credentials of the environment ({_reason(error)})",
                field=self._setting,
            ) from None
        except api.exceptions.BaseError as error:
            raise _unavailable("read", "current.json", _reason(error)) from None

    def call(self, verb: str, key: str, work: Callable[[Any], _T]) -> _T:
        """The result of ``work``, which gets obstore, and is tried again while the store does not work.

        Raises ``errors.Unavailable``, ``NoObject``, ``Changed``, and what ``work`` raises by itself.
        """
        api, began = _api(), time.monotonic()
        refusals = (api.exceptions.PermissionDeniedError, api.exceptions.UnauthenticatedError)
        for pause in _PAUSES:
            try:
                return work(api)
            except (DamagedObject, errors.PenstockError):
                raise
            except (api.exceptions.AlreadyExistsError, api.exceptions.PreconditionError):
                raise Changed(key) from None
            except refusals as error:
                raise _unavailable(verb, key, _reason(error)) from None
            except FileNotFoundError as error:
                if verb != "write":  # a write is answered so if its bucket is gone, or a part of it was answered before
                    raise NoObject(key) from None
                reason = _reason(error)
            except (api.exceptions.BaseError, OSError) as error:
                reason = _reason(error)
            spent = time.monotonic() - began
            if spent >= self._seconds:
                break
            _log.warning("store.again", verb=verb, key=key, reason=reason, seconds=round(spent, 3))
            if self._closed.wait(pause):
                break
        raise _unavailable(verb, key, reason)

    def _opened(self, folder: Path | None, environment: Mapping[str, str]) -> Any:
        api = _api().store
        if folder is not None:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise errors.Invalid(
                    f"{self._setting}: the folder cannot be used ({error.strerror})", field=self._setting
                ) from error
            return api.LocalStore(folder)
        endpoints = [v for k, v in environment.items() if k.startswith(_PROVIDERS) and k.endswith(_ADDRESSES)]
        config = {"checksum_algorithm": "SHA256"} if self._url.startswith("s3") else {}
        if "AWS_CHECKSUM_ALGORITHM" in environment:
            config = {}
        request = min(self._seconds, _LONGEST_REQUEST)
        try:
            return api.from_url(
                self._url, config=config or None,
                client_options={
                    "timeout": timedelta(seconds=request), "connect_timeout": timedelta(seconds=min(5.0, request)),
                    "allow_http": any(e.startswith("http://") for e in endpoints),
                },
                retry_config={"max_retries": 6, "retry_timeout": timedelta(seconds=self._seconds)},
            )  # fmt: skip
        except Exception as error:  # obstore's own, for what the environment has
            raise errors.Invalid(
                f"{self._setting} cannot be used with what the environment has ({type(error).__name__})",
                field=self._setting,
            ) from None


def _api() -> Any:
    import obstore
    import obstore.exceptions
    import obstore.store

    return obstore


def _reason(error: Exception) -> str:
    """What a log line has of an error of obstore, whose text has the whole address and answer."""
    status = _STATUS.search(str(error))
    return status[1].strip() if status is not None else type(error).__name__


def _unavailable(verb: str, key: str, reason: str) -> errors.Unavailable:
    return errors.Unavailable(
        f"the object store did not {verb} '{key}' ({reason}); what was committed is as it was, try again",
        code="STORE_UNAVAILABLE", retry_after=5, limit="store",
    )  # fmt: skip
