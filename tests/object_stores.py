"""Object stores for tests: S3 (``moto``) and Azure (``azurite``) in processes of their own, Google's in this one.

moto does not resolve with what the product needs: ``PENSTOCK_TEST_MOTO`` names the Python of an environment that has
it, ``PENSTOCK_TEST_AZURITE`` the folder of npm's packages with azurite; ``.ci/object_store`` makes both. Without them
the tests marked ``services`` that need them fail.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import hmac
import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import google_store

_SERVER = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
BUCKET = "penstock"


class S3(NamedTuple):
    """A server, and how many are its process and port."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        """The address of the server itself."""
        return f"http://127.0.0.1:{self.port}"


def environment(port: int) -> Mapping[str, str]:
    """What the environment of a service has for a server at that port."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """A server with an empty bucket."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
    process = subprocess.Popen(
        [os.environ["PENSTOCK_TEST_MOTO"], "-c", _SERVER], stdout=subprocess.PIPE, text=True, env=plain
    )
    try:
        assert process.stdout is not None
        server = S3(process, int(process.stdout.readline()))
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/{BUCKET}", method="PUT")).close()
        yield server
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _amazon() -> Iterator[Mapping[str, str]]:
    with s3() as server:
        yield environment(server.port)


@contextlib.contextmanager
def google() -> Iterator[Mapping[str, str]]:
    """The environment of a service for a server with an empty bucket."""
    server = google_store.server(BUCKET)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    account = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    try:
        yield {
            "GOOGLE_BASE_URL": f"http://127.0.0.1:{server.server_port}",
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account),
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


KINDS = [
    "gs",
    pytest.param("s3", marks=pytest.mark.services),
    pytest.param("az", marks=pytest.mark.services, id="azure"),  # .ci/object_store leaves it out where npm is missing
]
"""The kinds of store as parameters of tests; Google's is a server of our own, which needs nothing."""

_AZURITE = "azurite/dist/src/blob/main.js"
_OPTIONS = "--blobPort 0 --inMemoryPersistence --silent --skipApiVersionCheck --disableTelemetry"
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public: azurite's


@contextlib.contextmanager
def azure() -> Iterator[Mapping[str, str]]:
    """The environment of a service for an azurite with an empty container."""
    program = Path(os.environ["PENSTOCK_TEST_AZURITE"], _AZURITE)
    process = subprocess.Popen(["node", program, *_OPTIONS.split()], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if " listens on http" in line)
        address = f"{line.split()[-1]}/{_ACCOUNT}"
        _container(address)
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_STORAGE_ENDPOINT": address,
        }  # fmt: skip
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _container(url: str) -> None:
    date, version = formatdate(usegmt=True), "2021-12-02"
    signed = ["PUT", *[""] * 11, f"x-ms-date:{date}", f"x-ms-version:{version}", f"/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}"]
    text = "\n".join([*signed, "restype:container"])
    digest = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date, "x-ms-version": version,
        "authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}",
    }  # fmt: skip
    request = urllib.request.Request(f"{url}/{BUCKET}?restype=container", method="PUT", headers=headers)
    urllib.request.urlopen(request).close()


_KINDS = {"s3": _amazon, "gs": google, "az": azure}


@contextlib.contextmanager
def servers() -> Iterator[Callable[[str], Mapping[str, str]]]:
    """Answers the environment of a service for s3, gs or az; a server is started by the first who asks for it."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda kind: stack.enter_context(_KINDS[kind]()))
