"""Why a child ended without an answer, by its signal, what was seen of it, and what it wrote last."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.files import disk
from service.jobs.messages import Grants
from service.kit import errors
from service.processes.child import Child, Exit
from service.processes.watch import Observed
from service.runs import cause_of_death

ALLOCATOR = "memory allocation of 4096 bytes failed\n"
SPILL = "failed to create spill file 'spilled/7/spill-sort.ipc': No space left on device (os error 28)\n"


@pytest.mark.parametrize(
    ("end", "share", "said", "code"),
    [
        (signal.SIGABRT, 0.95, "", "RUN_OUT_OF_MEMORY"),
        (signal.SIGABRT, 0.5, ALLOCATOR, "RUN_OUT_OF_MEMORY"),
        (signal.SIGABRT, 0.95, SPILL, "STORAGE_FULL"),
        (signal.SIGABRT, 0.5, SPILL + ALLOCATOR, "STORAGE_FULL"),
        (signal.SIGABRT, 0.5, "panicked", "RUN_CRASHED"),
        (signal.SIGSEGV, 0.95, "", "RUN_CRASHED"),
    ],
)
def test_an_abort(tmp_path: Path, end: signal.Signals, share: float, said: str, code: str) -> None:
    """A spill without room goes on in memory, so that its end looks as if the memory were the reason."""
    (stderr := tmp_path / "stderr").write_text(said)
    child = cast(Child, SimpleNamespace(observed=Observed(1 << 20, share), is_stalled=False))
    grants = Grants(folder=str(tmp_path), memory_bytes=512 << 20)
    assert cause_of_death.explain(child, Exit(-end), "run", grants, stderr).error_code == code


def test_a_disk_too_full_for_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "is_exhausted", lambda folder: folder == tmp_path)
    child = cast(Child, SimpleNamespace(observed=Observed(1 << 20, 0.95), is_stalled=False))
    grants = Grants(folder="elsewhere", memory_bytes=512 << 20)
    found = cause_of_death.explain(child, Exit(-signal.SIGABRT), "run", grants, tmp_path / "stderr")
    assert found.error_code == "STORAGE_FULL"


def explained(number: signal.Signals, folder: Path, **seen: Any) -> errors.PenstockError:
    child = cast(Child, SimpleNamespace(observed=Observed(**seen), is_stalled=False))
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
