"""Why a child ended: what the error names, and which figures it has."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.jobs.messages import Grants
from service.kit import errors
from service.processes.child import Exit
from service.processes.watch import Observed
from service.runs import cause_of_death


def explained(number: signal.Signals, folder: Path, **seen: Any) -> errors.PenstockError:
    child = cast(Any, SimpleNamespace(observed=Observed(**seen), is_stalled=False))
    grants = Grants(folder=str(folder), memory_bytes=512 << 20)
    return cause_of_death.explain(child, Exit(-number), "run", grants, folder / "stderr", "processors[1]")


@pytest.mark.parametrize(
    ("number", "seen"), [(signal.SIGABRT, {"data_share": 0.95}), (signal.SIGKILL, {"oom_kills": 1})]
)
def test_want_of_memory_names_the_step_and_no_figure_that_is_too_small(
    number: signal.Signals, seen: dict[str, Any], tmp_path: Path
) -> None:
    """The last sample was taken before what the child was ended by."""
    error = explained(number, tmp_path, peak_bytes=100 << 20, **seen)
    assert (error.error_code, error.details) == ("RUN_OUT_OF_MEMORY", {"step": "processors[1]"})
    assert "in processors[1]" in error.message
    assert "100 MiB shortly before" in error.message


def test_a_child_that_was_killed_from_outside_has_its_peak(tmp_path: Path) -> None:
    error = explained(signal.SIGKILL, tmp_path, peak_bytes=100 << 20)
    assert (error.error_code, error.details["peak_memory_bytes"]) == ("RUN_CRASHED", 100 << 20)
