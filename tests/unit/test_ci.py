"""The scripts of ``.ci``: they end by themselves on a machine that has nothing, and CI leaves none of them out."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {path.name: path for path in sorted((ROOT / ".ci").iterdir()) if path.is_file() and not path.suffix}
OTHERS = {"bench", "console_vendor", "fast", "run", "setup"}  # what people start


def commands(name: str) -> list[str]:
    """The lines of a script that it executes, without comments and what it says; those that go on as one."""
    text = re.sub(r'echo "[^"]*"', "", SCRIPTS[name].read_text().replace("\\\n", ""))
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_stops_at_the_first_error_and_cleans_up(name: str) -> None:
    found = commands(name)
    assert os.access(SCRIPTS[name], os.X_OK)
    assert found[0] == "set -euo pipefail"
    subprocess.run(["bash", "-n", SCRIPTS[name]], check=True)
    made = [number for number, line in enumerate(found) if "mktemp" in line]
    assert all("trap" in found[number + 1] for number in made), "the folder goes, however the script ends"


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_installs_is_bounded_in_time_and_asks_nothing(name: str) -> None:
    found = commands(name)
    for line in found:
        calls = re.findall(r"(timeout \d+ )?apt-get (?:update|install -y -qq|download)\b", line)
        assert all(calls), line
        assert len(calls) == line.count("apt-get"), line
        assert not re.search(r"openjdk-\d|postgresql-\d", line), "no release of Debian has the versions of another"
    if any("apt-get install" in line for line in found):
        assert any("DEBIAN_FRONTEND=noninteractive" in line for line in found)


def test_ci_runs_every_check() -> None:
    named = {word for line in commands("run") for word in re.findall(r"\.ci/(\w+)", line)}
    assert named & set(SCRIPTS) == set(SCRIPTS) - OTHERS


def test_ci_says_at_the_end_what_was_not_tested() -> None:
    by_name = {name: "NOT tested" in script.read_text() for name, script in SCRIPTS.items() if name != "run"}
    (summaries,) = [line for line in commands("run") if line.startswith("for said in")]
    for name in [name for name, may_skip in by_name.items() if may_skip]:
        assert f"run_tests .ci/{name}" in commands("run"), "what it says is kept"
        assert name in summaries.split()
    assert any("grep" in line and "NOT tested" in line for line in commands("run"))
