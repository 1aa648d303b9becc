"""Sessions of a Spark Connect server: each attempt of a run has one, whose id follows from both.

So whoever supervises the run can end what a dead worker left behind: Spark would go on with it. A session that was
ended is never opened again.
"""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import urllib.parse
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import polars as pl

from service.kit import errors, spark_url

SETTING = "PENSTOCK_SPARK_URL"
_PORT, _PATIENCE = 15_002, 10.0
_USER = "penstock"  # sessions of others cannot be reached, and the client takes the name of the account by default
_RETRIES = 5
"""Of a call that does not reach the server, in some 17 s; the client would try for ten minutes."""
_MISSING = re.compile(r"No module named '([\w.]+)'")
_DETAILS = re.compile(r'details = "(.+?)"')  # of an error of gRPC
_OTHER_PYTHON = re.compile(r"worker has different version: ([\d.]+) than that in driver: (\d+\.\d+)")
_GONE = ("SESSION_CLOSED", "SESSION_NOT_FOUND", "SESSION_CHANGED")


def session_id(run: str, attempt: int) -> str:
    """The id of an attempt's session: Spark wants a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"penstock:{run}:{attempt}"))


def opened(url: str, run: str, attempt: int) -> Any:
    """The session of an attempt, whose jobs have its tag.

    Raises ``errors.Permanent`` without pyspark, ``errors.Transient`` without a server.
    """
    _prepare()
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    _reach(url)
    with translated():
        session = SparkSession.builder.remote(_address(url, run, attempt)).create()
        session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.addTag(f"{run}.{attempt}")
    return session


class Left:
    """The session of an attempt whose worker is gone, or should be. Raises as ``opened``."""

    def __init__(self, url: str, run: str, attempt: int) -> None:
        _prepare()
        from pyspark.sql.connect.client import SparkConnectClient

        _reach(url)
        self._client = SparkConnectClient(_address(url, run, attempt), retry_policy={"max_retries": 1})

    def interrupt(self) -> int:
        """Interrupt what the session executes, and return of how many operations."""
        try:
            with translated():
                return len(self._client.interrupt_all() or ())
        except errors.Transient as error:
            if any(word in error.message for word in _GONE):
                return 0
            raise

    def release(self) -> None:
        """End the session, so that a worker that still lives gets nothing executed any more."""
        with translated():
            self._client.release_session()


def _address(url: str, run: str, attempt: int) -> str:
    return spark_url.with_options(url, {"user_id": _USER, "session_id": session_id(run, attempt)})


def _prepare() -> None:
    """Import the client, which warns of its own use of pandas, and of grpc."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__file__"):  # in a child of the forkserver, where pyspark believes to be in a doctest
        main.__file__ = __file__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyspark.sql.connect.session  # noqa: F401
    except ImportError as error:
        raise errors.Permanent(f"{error.name} is missing; install penstock[spark]") from error


def _reach(url: str) -> None:
    """Raise ``errors.Transient`` if nobody listens there."""
    address = urllib.parse.urlsplit(url)
    host, port = address.hostname or "", address.port or _PORT
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise errors.Transient(f"no Spark server answers at {host}:{port} ({SETTING}): {error}") from error


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of the client: of the executors' Python, of the server, or of the way there."""
    try:
        yield
    except (errors.PenstockError, pl.exceptions.PolarsError, ValueError):  # of data
        raise
    except Exception as error:
        text = str(error)
        if "PicklingError" in type(error).__name__:
            text = f"a function of this step cannot be sent to the executors ({error}); use the engine polars"
            raise errors.Permanent(text) from error
        if missing := _MISSING.search(text):
            message = f"the executors behind {SETTING} do not have the Python module {missing[1]}"
            raise errors.Permanent(f"{message}; install penstock[executor] of this version there") from error
        if other := _OTHER_PYTHON.search(text):
            message = f"the executors behind {SETTING} have Python {other[1]}, not {other[2]}; install the same there"
            raise errors.Permanent(message) from error
        found = _DETAILS.search(text)
        line = found[1] if found else text.strip().partition("\n")[0] or type(error).__name__
        raise errors.Transient(f"the Spark server ({SETTING}) failed: {line[:300]}") from error
