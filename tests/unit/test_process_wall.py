"""What a process loads: the API process no engine and no parser, a check of a file less, an early answer least."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "import sys\nfrom service.kit import startup\nstartup.begin('structlog')\n"
END = "\nprint(*sys.modules)"
START = f"""{BEGIN}
import service.bootstrap, service.api.app
from service.model.registry import Registry
Registry.load()
{END}"""
LISTEN = f"{BEGIN}from service.cli import serve\nfrom granian.server.embed import Server{END}"
VALIDATE = f"""
import sys
from service.cli.commands import penstock
try:
    penstock(["validate", *sys.argv[1:]])
except SystemExit as end:
    assert end.code == 0
{END}"""
ENGINES = {"polars", "pyarrow", "numpy", "selectolax", "sqlglot", "clevercsv", "chardet", "vl_convert", "jinja2"}
CLIENTS = {"httpx", "httpcore", "h11"}
TERMINALS = {"rich", "pygments"}
MODELS = {"pydantic"}
CHILDREN = (
    "service.engine.", "service.query.child.", "service.reports.", "service.jobs.run_worker", "service.jobs.collect",
    "service.jobs.tasks.worker", "service.probing.probe",
)  # fmt: skip
FILE = """
name: cities
collectors:
  - {type: csv, file_path: cities.csv}
processors:
  - {type: cleaner, config: {drop_duplicates: true}}
  - {type: validator, config: {rules: [{column: id, check: not_null}]}}
  - {type: analyzer}
"""
API = FILE.replace("processors:", "  - {type: api, endpoint: 'https://example.com/cities'}\nprocessors:")


def loaded(program: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def libraries(modules: list[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_the_api_process_starts_without_what_only_children_need() -> None:
    modules = loaded(START)
    assert "service.collectors.csv" in modules
    assert (ENGINES | CLIENTS | TERMINALS | MODELS) & libraries(modules) == set()
    assert [name for name in modules if name.startswith(CHILDREN)] == []


def test_the_service_listens_before_it_loads_itself() -> None:
    modules = loaded(LISTEN)
    assert {"litestar", "duckdb", "yaml", *ENGINES, *CLIENTS, *TERMINALS} & libraries(modules) == set()
    assert [name for name in modules if name.startswith(("service.bootstrap", "service.catalog", "service.runs"))] == []


@pytest.mark.parametrize(("text", "needed"), [(FILE, set()), (API, CLIENTS | TERMINALS)], ids=["csv", "api"])
def test_a_file_is_checked_without_service_and_engine(text: str, needed: set[str], tmp_path: Path) -> None:
    file = tmp_path / "cities.yaml"
    file.write_text(text)
    modules = loaded(VALIDATE, str(file))
    assert "service.collectors.csv" in modules
    unused = {"litestar", "granian", "duckdb", "multiprocessing", *ENGINES, *CLIENTS, *TERMINALS} - needed
    assert unused & libraries(modules) == set()
    beyond = ("service.bootstrap", "service.catalog", "service.runs", "service.jobs", "service.api", "service.query")
    assert [name for name in modules if name.startswith(beyond)] == []
