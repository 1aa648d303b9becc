"""Why a child ended without an answer, by its signal, what was seen of it, and what it wrote last."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from service.files import disk
from service.jobs.messages import Grants
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
