"""The start of a process: collections while it loads, and libraries that are hidden meanwhile."""

from __future__ import annotations

import subprocess
import sys

HIDDEN = """
import gc, sys
from service.kit import startup
before = gc.get_threshold()
startup.begin("structlog", "httpx")
assert gc.get_threshold()[0] > before[0]
assert "structlog" in sys.modules and "httpx" in sys.modules
assert not {"rich", "pygments"} & set(sys.modules)
import rich.console
import structlog
structlog.get_logger("x").warning("said", number=1)
startup.end()
assert gc.get_threshold() == before
assert gc.get_freeze_count() > 0
"""
FAILING = """
import sys
from service.kit import startup
try:
    startup.begin("there_is_no_such_library")
except ModuleNotFoundError:
    import rich
"""


def _ended(program: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_libraries_load_without_what_they_can_do_without() -> None:
    assert "said" in _ended(HIDDEN)


def test_what_was_hidden_is_found_afterwards() -> None:
    _ended(FAILING)
