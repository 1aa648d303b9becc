"""``python -m tests.acceptance.kills.victim serve …``: the service with failpoints, under a clock that runs faster.

It loads its code and then waits for a line on its standard input, so that the next one is ready when this one dies.
Its workers import this module as ``__mp_main__`` before they are confined, and get their failpoints so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.acceptance.kills.failpoints import VARIABLE, Failpoints

if __name__ == "__mp_main__":
    Failpoints(Path(os.environ[VARIABLE]), "worker").arm()

if __name__ == "__main__":
    import functools

    from service import bootstrap
    from service.cli.commands import penstock
    from tests.acceptance import hurried

    if not sys.stdin.readline():
        sys.exit()  # nobody needs it any more
    Failpoints(Path(os.environ[VARIABLE]), "service").arm()
    setattr(bootstrap, "serve", functools.partial(bootstrap.serve, clock=hurried.clock()))  # noqa: B010
    penstock(prog_name="penstock")
