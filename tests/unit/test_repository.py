"""Habits of the repository that no linter knows: sizes, names, what lies at the top, what must never be committed."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TOP = {"service", "tests", "benchmarks", "pyproject.toml", "Containerfile", "README.md", "LICENSE", "CHANGELOG.md"}
HIDDEN = {".ci", ".decisions", ".deploy", ".github", ".gitignore", ".containerignore", ".pre-commit-config.yaml"}
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)$")
# Written in pieces, so that this file does not contain what it looks for.
HOSTS = re.compile(
    r"pypi\.(org|python)|python" r"hosted\.org|(extra-)?index" r"-url|trusted" r"-host|\b(docker|ghcr|quay)\." r"io\b"
)
MACHINES = re.compile(r"(?<![\w.])/(tmp/" r"w|work/" r"(main|shared)|root/|home/" r"\w+)")


def _files() -> list[Path]:
    """What is or would be committed; without git (an unpacked archive), what lies under the known entries."""
    if not (ROOT / ".git").exists():
        known = [ROOT / name for name in (TOP | HIDDEN) if (ROOT / name).exists()]
        below = [path for entry in known for path in ([entry] if entry.is_file() else entry.rglob("*"))]
        return [path for path in below if path.is_file() and "__pycache__" not in path.parts]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


FILES = _files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_there_are_files_to_check() -> None:
    assert len(PYTHON) > 20


def test_no_python_file_is_longer_than_400_lines() -> None:
    assert {_name(path): _lines(path) for path in PYTHON if _lines(path) > 400} == {}


def test_rooms_stay_small() -> None:
    service = [path for path in PYTHON if (ROOT / "service") in path.parents and path.name != "__init__.py"]
    assert statistics.median(map(_lines, service)) < 130
    assert sum(_lines(path) for path in PYTHON if path.parent == ROOT / "service" / "steps") < 800
    assert _lines(ROOT / "service" / "bootstrap.py") < 200


def test_no_module_has_a_vague_name() -> None:
    names = {part for path in PYTHON for part in path.relative_to(ROOT).with_suffix("").parts}
    assert {name for name in names if VAGUE.search(name)} == set()


def test_only_the_known_entries_lie_at_the_top() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} - TOP - HIDDEN == set()


def test_every_module_begins_with_its_design_note() -> None:
    silent = [p for p in PYTHON if p.read_text().strip() and not p.read_text().lstrip().startswith(('"""', 'r"""'))]
    assert [_name(path) for path in silent] == []


@pytest.mark.parametrize("pattern", [HOSTS, MACHINES], ids=["registry hosts", "paths of one machine"])
def test_nothing_names_what_is_not_ours(pattern: re.Pattern[str]) -> None:
    found = {}
    for path in FILES:
        if path.suffix not in (".js", ".css", ".woff2", ".png", ".parquet"):
            match = pattern.search(path.read_text(encoding="utf-8", errors="replace"))
            if match:
                found[_name(path)] = match[0]
    assert found == {}


def test_documents_keep_to_their_size() -> None:
    limits = {ROOT / "README.md": 150} | {path: 60 for path in FILES if path.parent.name == ".decisions"}
    assert {_name(path): _lines(path) for path, limit in limits.items() if _lines(path) > limit} == {}


def test_the_picture_of_the_rooms_is_current() -> None:
    checked = subprocess.run([sys.executable, ".ci/rooms.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_test_module_imports_another() -> None:
    """Nor does the text of a program that a test runs."""
    imported = re.compile(
        r"\bfrom tests\.[a-z_.]*test_\w+ import|\bfrom tests\S* import test_|\bimport tests\.\S*test_"
    )
    assert [_name(path) for path in PYTHON if imported.search(path.read_text(encoding="utf-8"))] == []


def test_the_constraints_pin_every_package_exactly() -> None:
    pins = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    pin = r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*( ; python_version (<|>=) '3\.[0-9]+')?"
    assert [line for line in pins if not re.fullmatch(pin, line)] == []


def test_no_leftovers_of_unfinished_work() -> None:
    marks = re.compile(
        r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|Not" r"ImplementedError|pragma: no " r"cover|assert " r"True\b"
    )
    found = {_name(path): marks.findall(path.read_text()) for path in PYTHON}
    assert {name: hits for name, hits in found.items() if hits} == {}


LATER_PYTHONS = {"compression"}  # modules of the standard library from 3.14 on
DISTRIBUTIONS = {
    "backports": "backports.zstd",
    "argon2": "argon2-cffi",
    "google": "protobuf",
    "grpc": "grpcio",
    "jwt": "PyJWT",
    "markdown_it": "markdown-it-py",
    "prometheus_client": "prometheus-client",
    "pyspark": "pyspark-client",
    "psycopg_pool": "psycopg",
    "opentelemetry": "opentelemetry-sdk",
    "yaml": "PyYAML",
    "swagger_ui": "swagger-ui-py",
    "vl_convert": "vl-convert-python",
}


def _imported(folder: str) -> set[str]:
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - LATER_PYTHONS


def test_what_the_service_imports_is_declared_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["cluster"],
        *project["optional-dependencies"]["flight"],
        *project["optional-dependencies"]["otel"],
        *project["optional-dependencies"]["spark"],
    ]
    declared = {re.split(r"[<>=;\[ ]", line, maxsplit=1)[0].lower() for line in wanted}
    imported = {DISTRIBUTIONS.get(name, name).lower() for name in _imported("service") - {"service"}}
    # one is served from its installed files, one read by zoneinfo, one imported below the name of another, one bounded
    assert (
        imported | {"swagger-ui-py", "tzdata", "opentelemetry-exporter-otlp-proto-http", "pandas", "cloudpickle"}
        == declared
    )
    pinned = {line.partition("==")[0].lower() for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()}
    assert {name.replace("_", "-") for name in declared} <= {name.replace("_", "-") for name in pinned}


def test_documents_name_modules_that_exist() -> None:
    rooms = {path.name for path in (ROOT / "service").iterdir() if path.is_dir()}
    documents = [*(ROOT / ".decisions").glob("*.md"), *(ROOT / "service" / "docs").glob("*.md"), ROOT / "README.md"]
    missing = []
    for document in documents:
        for room, module in re.findall(r"`(?:service\.)?([a-z]+)\.([a-z_]+)(?:\.\w+)*`", document.read_text()):
            path = ROOT / "service" / room / module
            if room in rooms and not (path.is_dir() or path.with_suffix(".py").is_file()):
                missing.append(f"{document.name}: {room}.{module}")
    assert missing == []


def test_every_security_requirement_has_a_test_and_the_table_names_those_that_exist() -> None:
    named = re.compile(r"def (test_requirement_(\d\d)_\w+)\(")
    tests = {found for path in PYTHON if "tests" in path.parts for found in named.findall(path.read_text())}
    assert {int(number) for _, number in tests} == set(range(1, 53))
    record = (ROOT / ".decisions" / "0040-security-requirements.md").read_text(encoding="utf-8")
    table = re.findall(r"\| (\d+) \| `(\w+)`", record)
    assert sorted(int(number) for number, _ in table) == list(range(1, 53))
    assert {f"test_requirement_{int(number):02}_{name}" for number, name in table} - {
        name for name, _ in tests
    } == set()
