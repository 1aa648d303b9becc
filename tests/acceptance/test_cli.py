"""The commands as a person or a script runs them: real processes over a data directory of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.kit.codes import EXITS
from tests.acceptance import documents, service
from tests.acceptance.shell import Shell

PEOPLE = "name,age\nann,31\nbob,x\ncéd,\n"
PIPELINE = {
    "name": "people",
    "collectors": [{"type": "csv", "file_path": "people.csv"}],
    "processors": [{"type": "cleaner", "config": {"cast": {"age": "int64"}, "fill_na": {"age": 7}}}],
}


class Terminal:
    """A folder to run commands in."""

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder, self.shell = folder, shell

    def run(self, *words: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        ended = self.shell.run(*words, folder=self.folder, input=input, **environment)
        return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def alone(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "service", *words], cwd=self.folder, capture_output=True, text=True, timeout=60,
            env=service.clean_environment(PYTHONPATH=str(documents.ROOT)),
        )  # fmt: skip

    def ok(self, *words: str, input: str = "") -> str:
        ended = self.run(*words, input=input)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *words: str, code: int) -> dict[str, Any]:
        ended = self.run(*words, "--json")
        assert ended.returncode == code, ended.stdout + ended.stderr
        error: dict[str, Any] = json.loads(ended.stdout)["error"]
        assert set(error) == {"code", "message", "details"}
        return error

    def write(self, name: str, document: object) -> None:
        (self.folder / name).write_text(document if isinstance(document, str) else json.dumps(document))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(tmp_path_factory.mktemp("shell")) as shell:
        yield shell


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Terminal:
    """A terminal in a folder with one pipeline that was run."""
    terminal = Terminal(tmp_path_factory.mktemp("cli"), shell)
    terminal.write("people.csv", PEOPLE)
    terminal.write("people.json", PIPELINE)
    said = json.loads(terminal.ok("run", "people.json", "--json"))
    assert (said["status"], said["version"], said["rows_stored"], said["error"]) == ("completed", 1, 3, None)
    assert [s["state"] for s in said["storage"]] == ["ready", "ready"]
    return terminal


@pytest.fixture
def terminal(tmp_path: Path, shell: Shell) -> Terminal:
    return Terminal(tmp_path, shell)


def test_a_run_says_what_it_stored(stored: Terminal) -> None:
    ended = stored.alone("run", "people.json", "--data-dir", "other")
    assert ended.returncode == 0, ended.stderr
    assert "completed people version 1: 3 rows" in ended.stdout
    assert list(Path(stored.folder, "other", "warehouse", "people", "v000001").glob("*.duckdb"))


@pytest.mark.slow
def test_a_held_run_says_why_and_is_no_failure(terminal: Terminal) -> None:
    terminal.write("people.json", {**PIPELINE, "publish_if": {"max_row_drop_share": 0.5, "no_schema_break": True}})
    terminal.write("people.csv", PEOPLE)
    terminal.ok("run", "people.json")
    terminal.write("people.csv", PEOPLE.splitlines()[0] + "\nann,31\n")
    ended = terminal.run("run", "people.json")
    assert (ended.returncode, ended.stdout.splitlines()[0].startswith("held people version 2: 1 rows")) == (0, True)
    assert "rows fell by a share of 0.6667, from 3 to 1; at most 0.5 is allowed" in ended.stderr
    said = json.loads(terminal.ok("run", "people.json", "--json"))
    assert (said["status"], said["version"], said["held_because"][0]["bound"]) == ("held", 3, 0.5)
    assert "3 rows" in terminal.ok("query", "FROM people")
    assert "1 row," in terminal.ok("query", 'FROM "people@3"')
    listed = json.loads(terminal.ok("version", "list", "people", "--json"))
    assert [(v["version"], v["state"], len(v["schema_changes"])) for v in listed] == [
        (3, "held", 0), (2, "held", 0), (1, "published", 0),
    ]  # fmt: skip
    assert "rejected version 2" in terminal.ok("version", "reject", "people", "2")
    assert "version 3 of 'people' is published" in terminal.ok("version", "accept", "people", "3")
    assert terminal.refused("version", "accept", "people", "3", code=4)["code"] == "CONFLICT"
    assert "1 row," in terminal.ok("query", "FROM people")
    assert list(Path(terminal.folder).glob("*/warehouse/people/v000003/people.duckdb"))


@pytest.mark.parametrize(
    ("form", "begins"),
    [("json", b'{"columns"'), ("ndjson", b'{"name"'), ("csv", b"name,age"), ("parquet", b"PAR1"), ("table", None)],
)
def test_answers_in_every_form(stored: Terminal, form: str, begins: bytes | None) -> None:
    ended = stored.shell.run("query", "FROM people ORDER BY name", "--format", form, folder=stored.folder)
    assert ended.returncode == 0, ended.stderr
    if begins is None:
        assert "3 rows" in ended.stdout.decode()
        assert "céd" in ended.stdout.decode()
    else:
        assert ended.stdout.startswith(begins)


def test_a_process_of_its_own_answers_and_refuses(stored: Terminal) -> None:
    answered = stored.alone("query", "FROM people ORDER BY name", "--format", "csv")
    assert (answered.returncode, answered.stdout.split()[0], answered.stderr) == (0, "name,age", "")
    refused = stored.alone("validate", "nothing.json")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("error NOT_FOUND: nothing.json cannot be read")


def test_errors_have_the_shape_of_the_api_and_an_exit_code(stored: Terminal) -> None:
    assert stored.refused("query", "FROM peeple", code=2)["code"] == "SQL_NOT_ALLOWED"
    assert stored.refused("query", "DROP TABLE people", code=2)["code"] == "SQL_NOT_ALLOWED"
    assert stored.refused("run", "nothing.yaml", code=3)["details"]["field"] == "file"
    stored.write("broken.json", '{"name": ')
    assert stored.refused("validate", "broken.json", code=2)["code"] == "INVALID_JSON"


def test_validate_tries_the_processors_over_the_columns_that_the_settings_name(terminal: Terminal) -> None:
    collectors = [{"type": "csv", "file_path": "not-there.csv", "columns": ["price", "city"]}]
    cleaner = {"type": "cleaner", "config": {"filter": "prise > 1"}}
    terminal.write("wrong.json", {"name": "x", "collectors": collectors, "processors": [cleaner]})
    refused = terminal.refused("validate", "wrong.json", code=2)
    assert refused["details"] == {"step": "processors[0]", "field": "processors[0].config.filter"}
    assert "did you mean 'price'?" in refused["message"]
    lenient = {"type": "cleaner", "config": {"drop_columns": ["citty"], "missing_columns": "ignore"}}
    terminal.write("odd.json", {"name": "x", "collectors": collectors, "processors": [lenient]})
    warnings = json.loads(terminal.ok("validate", "odd.json", "--json"))["warnings"]
    assert [(w["step"], w["code"]) for w in warnings] == [
        ("collectors[0]", "no_file"), ("processors[0]", "missing_column"),
    ]  # fmt: skip
    assert "no column 'citty'" in terminal.run("validate", "odd.json").stderr


def test_validate_lists_every_problem(terminal: Terminal) -> None:
    wrong = {**PIPELINE, "nmae": 1, "collectors": [{"type": "csv", "file_pth": "x"}], "processors": [{"type": "clean"}]}
    terminal.write("wrong.json", wrong)
    found = terminal.refused("validate", "wrong.json", code=2)["details"]["errors"]
    assert {"nmae", "collectors[0].file_pth", "collectors[0].file_path", "processors[0].type"} <= {
        p["field"] for p in found
    }
    assert not (terminal.folder / "penstock-data").exists()


def test_a_yaml_file_and_a_failing_step(terminal: Terminal) -> None:
    terminal.write("people.csv", PEOPLE)
    terminal.write("people.yaml", "name: people\ncollectors: [{type: csv, file_path: people.csv}]\n")
    assert "valid" in terminal.ok("validate", "people.yaml")
    terminal.write("bad.json", {**PIPELINE, "processors": [{"type": "cleaner", "config": {"drop_columns": ["agee"]}}]})
    ended = terminal.run("run", "bad.json", "--json")
    said = json.loads(ended.stdout)
    assert (ended.returncode, said["status"], said["version"]) == (1, "failed", None)
    assert said["error"]["details"]["step"] == "processors[0]"
    assert "did you mean 'age'" in said["error"]["message"]
    assert terminal.refused("run", "bad.json", code=1)["details"] == said["error"]["details"]
    assert terminal.refused("query", "FROM people", code=2)["code"] == "SQL_NOT_ALLOWED"


def test_errors_are_text_for_people(stored: Terminal) -> None:
    ended = stored.run("query", "FROM peeple")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error SQL_NOT_ALLOWED: ")
    assert "{" not in ended.stderr
    stored.write("bad.yaml", "name: [\n")
    ended = stored.run("validate", "bad.yaml")
    assert (ended.returncode, "the text is not YAML" in ended.stderr, "JSON" in ended.stderr) == (2, True, False)


@pytest.mark.parametrize(
    "words",
    [("query", "SELECT 1"), ("list",), ("log", "people"), ("verify",), ("user", "list"), ("user", "remove", "ann")],
)
def test_a_mistyped_data_directory_is_not_created(terminal: Terminal, words: tuple[str, ...]) -> None:
    (terminal.folder / "there").mkdir()
    for name in ("not-there", "there"):
        error = terminal.refused(*words, "--data-dir", name, code=3)
        assert (error["code"], error["details"]["field"]) == ("NOT_FOUND", "data_dir")
    assert not (terminal.folder / "not-there").exists()
    assert list((terminal.folder / "there").iterdir()) == []


def test_formulas_in_csv_are_escaped_unless_switched_off(stored: Terminal) -> None:
    statement = "SELECT '+49 30' AS phone, '=1+1' AS sum, '-' AS dash, 'x' AS plain"
    assert stored.ok("query", statement, "--format", "csv").split() == ["phone,sum,dash,plain", "'+49", "30,'=1+1,'-,x"]
    plain = stored.ok("query", statement, "--format", "csv", "--no-escape-formulas")
    assert plain.split() == ["phone,sum,dash,plain", "+49", "30,=1+1,-,x"]


def test_pipelines_are_listed_and_a_log_is_read(stored: Terminal) -> None:
    (line,) = json.loads(stored.ok("list", "--json"))
    assert (line["name"], line["status"], line["version"]) == ("people", "completed", 1)
    assert "completed" in stored.ok("list")
    log = stored.ok("log", "people")
    assert "run.started" in log
    (first, *_) = map(json.loads, stored.ok("log", "people", "--json").splitlines())
    assert stored.ok("log", first["run_id"]) == log
    assert stored.refused("log", "run_0", code=3)["code"] == "RUN_NOT_FOUND"
    assert stored.refused("log", "nobody", code=3)["code"] == "PIPELINE_NOT_FOUND"


@pytest.mark.slow
def test_a_probe_prints_a_pipeline_that_runs(terminal: Terminal) -> None:
    terminal.write("people.csv", PEOPLE)
    ended = terminal.run("probe", "people.csv")
    assert ended.returncode == 0, ended.stderr
    assert "csv" in ended.stderr
    terminal.write("probed.yaml", ended.stdout)
    assert "completed people version 1: 3 rows" in terminal.ok("run", "probed.yaml")
    finding = json.loads(terminal.ok("probe", "people.csv", "--json"))
    assert (finding["format"], [c["name"] for c in finding["columns"]]) == ("csv", ["name", "age"])
    for missing in ("nothing.csv", "", "."):
        assert terminal.refused("probe", missing, code=3)["details"]["field"] == "file_path"
    assert not (terminal.folder / "probed").exists()


def test_exit_codes_are_in_the_help(terminal: Terminal) -> None:
    text = terminal.ok("--help")
    assert all(f"  {code}" in text and meaning[:20] in text for code, meaning in EXITS.items())


@pytest.mark.slow
def test_accounts(terminal: Terminal) -> None:
    terminal.ok("user", "add", "ann", "--role", "admin", "--password-stdin", input="a long pass phrase\n")
    made_up = terminal.ok("user", "add", "bob", "--role", "viewer")
    assert len(made_up.split()[-1]) >= 12
    assert [(u["username"], u["role"]) for u in json.loads(terminal.ok("user", "list", "--json"))] == [
        ("ann", "admin"),
        ("bob", "viewer"),
    ]
    assert terminal.refused("user", "add", "bob", "--role", "viewer", code=4)["code"] == "USER_EXISTS"
    assert terminal.refused("user", "remove", "ann", code=4)["code"] == "LAST_ADMIN"
    assert terminal.ok("user", "change", "bob", "--role", "operator", "--disable") == "'bob' is operator, disabled\n"
    assert json.loads(terminal.ok("user", "change", "bob", "--enable", "--json"))["disabled"] is False
    assert terminal.refused("user", "change", "bob", code=2)["details"]["field"] == "role"
    assert terminal.refused("user", "change", "ann", "--role", "viewer", code=4)["code"] == "LAST_ADMIN"
    assert json.loads(terminal.ok("user", "remove", "bob", "--json")) == {"username": "bob"}
    assert "bob" not in terminal.ok("user", "list")


def test_the_first_account_may_be_another_than_the_admin(terminal: Terminal) -> None:
    ended = terminal.run("user", "add", "vera", "--role", "viewer", "--password-stdin", input="a long pass phrase\n")
    assert ended.stdout == "added viewer 'vera'\n"
    assert ended.stderr == "No account is an admin yet: the service adds 'admin' when it starts.\n"


def test_help_lists_every_setting_with_its_default() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--help"], cwd=documents.ROOT, capture_output=True, text=True,
        check=True, env=service.clean_environment(),
    ).stdout  # fmt: skip
    from msgspec.structs import fields

    from service.kit.settings import Settings

    for field in fields(Settings):
        assert f"PENSTOCK_{field.name.upper()}\n" in said
    assert said.count("Default: ") == len(fields(Settings))
