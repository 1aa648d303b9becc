"""``penstock processes`` only looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.cli import processes
from service.kit import errors


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(errors.Missing, match="no data directory"):
        processes.show(data_dir=str(tmp_path / "data"), url=None, as_json=True)
    assert not (tmp_path / "data").exists()
