"""What a run says of an error that nobody expected."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from service.runs import driver


def test_requirement_11_a_folder_that_cannot_be_written_is_named_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File exists") as raised:
        tmp_path.mkdir()
    assert raised.value.errno == errno.EEXIST
    message = driver._unexpected(raised.value).message
    assert message == f"the data directory cannot be written: File exists ({tmp_path.name})"
    assert str(tmp_path.parent) not in message


def test_other_errors_show_their_kind_alone() -> None:
    assert driver._unexpected(ValueError("a secret")).message == "the run failed unexpectedly: ValueError"
    assert driver._unexpected(ConnectionResetError("a secret")).message.endswith("ConnectionResetError")
