"""The README's commands, run in order as a newcomer would, against a real service.

The installed command stands for ``.venv/bin/penstock``, a free port for 8000. The install itself is what ``.ci/run``
and the container test do; here it is checked that they say the same, and that the test command finds the tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import documents, service
from tests.acceptance.demo_service import demo

README = documents.ROOT / "README.md"
BLOCKS = documents.blocks(README)
INSTALL, TESTS, *TOUR = BLOCKS
TOUR_SECONDS = 120


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``penstock`` that is this checkout under this interpreter."""
    folder = tmp_path_factory.mktemp("programs")
    script = folder / "penstock"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{documents.ROOT}" exec "{sys.executable}" -m service "$@"\n')
    script.chmod(0o755)
    return folder


def test_the_first_screen_installs_and_shows_and_tests() -> None:
    first = README.read_text().split("\n## ")[0]
    assert first.count("```bash") == 2
    assert INSTALL.split("&&")[-1].strip() == ".venv/bin/penstock demo --serve"
    assert TESTS.split("&&")[-1].strip() == ".venv/bin/python -m pytest"


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    run, test = ((documents.ROOT / ".ci" / name).read_text() for name in ("run", "test"))
    install = TESTS.split("&&")[0].strip().removeprefix(".venv/bin/pip install ")
    assert install in run
    assert ".ci/test" in run
    assert TESTS.split("&&")[-1].strip().removeprefix(".venv/bin/") in test


def test_the_test_command_finds_the_tests() -> None:
    words = TESTS.split("&&")[-1].split()
    found = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-q", "-p", "no:cacheprovider", "tests/unit/test_repository.py"],
        cwd=documents.ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-2000:]
    assert "tests/unit/test_repository.py::" in found.stdout


def test_the_first_screen_opens_the_console(programs: Path, tmp_path: Path) -> None:
    _, *words = INSTALL.split("&&")[-1].split()
    with demo(tmp_path, [str(programs / "penstock"), *words]) as shown:
        assert shown.sign_in().status_code == 200
        assert (tmp_path / "penstock-demo").is_dir()


def test_the_demo_ends_well_without_anything(programs: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [programs / "penstock", "demo"],
        cwd=tmp_path, env=service.clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def _answers(said: str) -> list[Any]:
    """The JSON objects among the lines of the tour."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_the_tour(programs: Path, tmp_path: Path) -> None:
    assert shutil.which("curl"), "the README's tour needs curl"
    port = str(service.free_port())
    # Job control, as in an interactive shell, for `kill %1`; the trap ends the service where a command fails.
    script = "set -emuo pipefail\ntrap 'kill %1 2>/dev/null || true' EXIT\n" + "\n".join(TOUR) + "wait\ntrap - EXIT\n"
    script = script.replace("8000", port).replace("penstock serve", f"penstock serve --port {port}")
    env = service.clean_environment()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(programs)
    ended = subprocess.run(
        ["timeout", str(TOUR_SECONDS), "bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    answers = _answers(ended.stdout)
    assert "curl:" not in ended.stderr
    runs = [answer for answer in answers if "storage_location" in answer]
    assert [(run["status"], run["version"], run["rows_stored"]) for run in runs] == [
        ("completed", 1, 5),
        ("completed", 2, 5),
    ]
    first, compared = (answer["data"] for answer in answers if "elapsed_ms" in answer)
    assert [row["channel"] for row in first] == ["app", "store", "unknown", "web"]
    # Orders 2 and 4 had no price: the median of the other three was 12.0, their mean is 13.13.
    assert [(row["order_id"], row["before"]) for row in compared] == [(2, 12.0), (4, 12.0)]
    assert [round(row["now"], 2) for row in compared] == [13.13, 13.13]
    assert '"event"' not in ended.stdout + ended.stderr, "log lines between the answers"
    assert "4 rows, " in ended.stdout.splitlines()[-1], "the query without a server"
