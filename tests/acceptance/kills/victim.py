"""``python -m tests.acceptance.kills.victim serve …``: the service with failpoints, under a clock that runs faster.

Its workers import this module as ``__mp_main__`` before they are confined, and get their failpoints so.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.acceptance.kills.failpoints import VARIABLE, Failpoints

if __name__ in ("__main__", "__mp_main__"):
    role = "service" if __name__ == "__main__" else "worker"
    Failpoints(Path(os.environ[VARIABLE]), role).arm()

if __name__ == "__main__":
    import functools

    from service import bootstrap
    from service.cli.commands import penstock
    from tests.acceptance import hurried

    setattr(bootstrap, "serve", functools.partial(bootstrap.serve, clock=hurried.clock()))  # noqa: B010
    penstock(prog_name="penstock")
