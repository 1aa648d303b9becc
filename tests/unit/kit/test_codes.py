"""The table of error codes: complete, as the contract promises it, and the only place that knows what a code means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import service
from service.kit import errors
from service.kit.codes import CODES, EXITS, Code, is_known

SOURCE = Path(service.__file__).parent
CONTRACT = {
    400: "VALIDATION_ERROR INVALID_JSON INVALID_SQL SQL_NOT_ALLOWED QUERY_TIMEOUT QUERY_TOO_LARGE",
    401: "UNAUTHORIZED TOKEN_EXPIRED INVALID_CREDENTIALS",
    403: "FORBIDDEN",
    404: "NOT_FOUND PIPELINE_NOT_FOUND RUN_NOT_FOUND VERSION_NOT_FOUND NO_DATA",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    409: "PIPELINE_EXISTS PIPELINE_RUNNING TABLE_NAME_TAKEN LAST_ADMIN VERSION_IN_USE",
    412: "REVISION_CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "RANGE_NOT_SATISFIABLE",
    429: "RATE_LIMITED",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL_ERROR DATA_CORRUPT",
    503: "OVERLOADED",
    507: "STORAGE_FULL",
}
RUN_ERRORS = "STEP_FAILED RUN_TIMEOUT RUN_OUT_OF_MEMORY"


def families() -> Iterator[type[errors.PenstockError]]:
    pending: list[type[errors.PenstockError]] = [errors.PenstockError]
    while pending:
        family = pending.pop()
        yield family
        pending += family.__subclasses__()


def codes_in(file: Path) -> Iterator[str]:
    """The constants that a file passes as ``code=``, or gives a class or a constant of type ``Code``."""
    for node in ast.walk(ast.parse(file.read_text())):
        is_argument = isinstance(node, ast.keyword) and node.arg == "code"
        if is_argument or (isinstance(node, ast.AnnAssign) and "Code" in ast.dump(node.annotation)):
            yield from (str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant))


def test_every_code_has_an_entry() -> None:
    assert list(CODES) == list(get_args(Code))


@pytest.mark.parametrize("status", CONTRACT)
def test_the_codes_of_the_contract_have_its_statuses(status: int) -> None:
    assert [c for c in CONTRACT[status].split() if not is_known(c) or CODES[c].status != status] == []


def test_run_errors_are_in_the_table() -> None:
    assert all(map(is_known, RUN_ERRORS.split()))


def test_the_source_names_no_other_code() -> None:
    files = [f for f in SOURCE.rglob("*.py") if f.name != "codes.py"]
    found = {(f.name, code) for f in files for code in codes_in(f) if isinstance(code, str) and code.isupper()}
    assert len({code for _, code in found}) > 25  # the walk finds them
    assert {(name, code) for name, code in found if not is_known(code)} == set()


def test_every_family_has_an_entry() -> None:
    assert [f for f in families() if not is_known(f.code)] == []
    assert errors.Stale("x").entry.status == 412
    assert errors.Transient("x").entry.status == 500


def test_exit_codes_are_documented() -> None:
    assert {entry.exit for entry in CODES.values()} <= set(EXITS)
    assert all(entry.exit for entry in CODES.values())


def test_the_guide_has_the_exit_codes() -> None:
    guide = (SOURCE / "docs" / "command-line.md").read_text()
    assert [f"| {code} | {text} |" for code, text in EXITS.items() if f"| {code} | {text} |" not in guide] == []


def test_an_error_of_another_release_gets_the_code_of_its_family() -> None:
    error = errors.from_body(errors.Body("FROM_TOMORROW", "x", {"a": 1}, "Conflict"))
    assert (type(error), error.error_code, error.details) == (errors.Conflict, "CONFLICT", {"a": 1})
    assert errors.from_body(errors.Missing("x", code="NO_DATA").as_body()).error_code == "NO_DATA"
