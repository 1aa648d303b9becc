"""``python -m tests.acceptance.small_machine serve …``: the service on a machine with little memory and few open files.

``SMALL_MEMORY`` are the bytes of memory that it finds, ``SMALL_FILES`` the files that a process may open.
"""

from __future__ import annotations

import os
import resource

if __name__ == "__main__":
    from service.cli.commands import penstock
    from service.kit import memory_budget

    memory, files = (int(os.environ.pop(name)) for name in ("SMALL_MEMORY", "SMALL_FILES"))
    memory_budget.available = lambda: memory
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    penstock(prog_name="penstock")
