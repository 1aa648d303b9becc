"""Object stores for tests: an S3-compatible server in a process of its own (``moto``).

moto does not resolve with what the product needs: ``PENSTOCK_TEST_MOTO`` names the Python of an environment that has
it, which ``.ci/object_store`` makes. Without one the tests marked ``services`` that need it fail.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from typing import NamedTuple

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
