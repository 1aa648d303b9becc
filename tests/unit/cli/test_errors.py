"""How a command ends: its exit code, and what it prints."""

from __future__ import annotations

import json

import pytest

from service.cli import errors as command_errors
from service.kit import errors


def ended(error: BaseException, *, as_json: bool = False) -> int:
    with pytest.raises(SystemExit) as caught, command_errors.report(lambda: as_json):
        raise error
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Permanent("x"), 1), (errors.Invalid("x"), 2), (errors.Missing("x", code="NO_DATA"), 3),
        (errors.Conflict("x"), 4), (errors.Forbidden("x"), 5), (errors.Invalid("x", code="QUERY_TOO_LARGE"), 6),
        (errors.TimedOut("x"), 7), (errors.Unavailable("x"), 8), (KeyboardInterrupt(), 130),
        (command_errors.Ended(3), 3),
    ],
)  # fmt: skip
def test_exit_codes(error: BaseException, code: int) -> None:
    assert ended(error) == code


def test_an_error_is_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [errors.Problem("name", "is required"), errors.Problem("collectors[0].url", "is required")]
    ended(errors.Invalid.of(problems))
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[1:]) == ("", ["  name: is required", "  collectors[0].url: is required"])
    ended(errors.Invalid.of(problems), as_json=True)
    out, err = capsys.readouterr()
    assert (json.loads(out)["error"]["details"]["field"], err) == ("name", "")
