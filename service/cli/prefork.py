"""An early start of the forkserver: it loads the modules of the children while this process loads its own.

Each takes about a second. ``bootstrap`` alone would start the forkserver only after it is loaded itself; at the same
time, both take little more than one second.
"""

from __future__ import annotations

import os

from service.files import service_socket
from service.kit import settings
from service.processes import forkserver, preloaded


def begin() -> None:
    """Start the forkserver; ``bootstrap.open_core`` then finds it running."""
    forkserver.prepare(preloaded.MODULES)


def begin_without_service(url: str | None, data_dir: str | None) -> None:
    """As ``begin``, unless a running service will answer the command. Raises ``errors.Invalid``."""
    if url is None:
        with service_socket.running(settings.load(os.environ, data_dir=data_dir).root) as socket:
            if socket is None:
                begin()
