"""The runner of ``benchmarks/``: every question can be asked, results come before times, and claims rest on them.

No time is tested here: a question is asked of two thousand rows to see that contestants agree.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import __main__ as runner
from benchmarks import claims, measure, orders
from benchmarks.options import Options
from benchmarks.questions import end_to_end, wide
from benchmarks.questions.end_to_end import Outcome

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = {name: (ROOT / name).read_text() for name in ("README.md", "CHANGELOG.md")}
LINES = [line for text in DOCUMENTS.values() for line in text.splitlines() if claims.CLAIM.search(line)]


@pytest.mark.parametrize("name", runner.known())
def test_every_question_can_be_asked_and_shown(name: str) -> None:
    asked = runner.question(name)
    assert (asked.__doc__ or "").splitlines()[0].endswith((".", "?"))
    assert callable(asked.ask)
    assert callable(asked.show)


def test_two_hand_written_forms_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "end_to_end", "--rows", "2000", "--only", "staged,in_memory,floor"]
    ended = subprocess.run(
        [*command, "--repeat", "1", "--folder", str(tmp_path), "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    table = json.loads(ended.stdout)["answers"]["end_to_end"]["contestants"]
    assert [(name, entry["differs"]) for name, entry in table.items()] == [
        ("staged", []),
        ("in_memory", []),
        ("floor", []),
    ]
    assert all(entry["compared"] > 100 and entry["cpu"] > 0 for entry in table.values())
    assert "| Polars by hand, in memory" in ended.stderr, "people read beside the JSON"


def _fake(monkeypatch: pytest.MonkeyPatch, wrong: str = "", broken: str = "") -> list[str]:
    """Contestants that answer at once, one of them other rows, one an error; who was asked is listed."""
    asked: list[str] = []

    def contend(name: str, source: Path, limit: int | None = None) -> Outcome:
        asked.append(name)
        if name == broken:
            raise measure.Failed("it ended with 1")
        return Outcome(measure.Cost(1.0, 2.0, 3.0), {"rows": 5}, {"row_count": 4 if name == wrong else 5})

    monkeypatch.setattr(end_to_end, "contend", contend)
    return asked


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(10, 2, ["in_memory", "staged", "duckdb_sql"], tmp_path)


def test_contestants_take_turns(monkeypatch: pytest.MonkeyPatch, options: Options) -> None:
    asked = _fake(monkeypatch)
    found = end_to_end.ask(options)
    assert asked == ["staged", "in_memory", "duckdb_sql"] * 2
    assert found["contestants"]["duckdb_sql"]["ratio"] == {"staged": 1.0, "in_memory": 1.0}


def test_who_differs_gets_no_time(
    monkeypatch: pytest.MonkeyPatch, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = _fake(monkeypatch, wrong="in_memory")
    words = ["end_to_end", "--rows", "10", "--folder", str(options.folder), "--only", ",".join(options.contestants)]
    assert runner.main(words) == 1
    assert asked.count("in_memory") == 1
    said = capsys.readouterr().out
    assert "in_memory differs, no time: row_count: 5 and 4" in said
    (line,) = (line for line in said.splitlines() if line.startswith("| Polars by hand, in memory"))
    assert not any(character.isdigit() for character in line)


def test_a_contestant_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, options: Options) -> None:
    asked = _fake(monkeypatch, broken="duckdb_sql")
    found = end_to_end.ask(options)
    assert asked.count("duckdb_sql") == 1
    assert found["failed"] == {"duckdb_sql": "it ended with 1"}
    assert "duckdb_sql failed: it ended with 1" in end_to_end.show(found)


def test_the_slow_are_left_out_of_many_rows(monkeypatch: pytest.MonkeyPatch, options: Options) -> None:
    asked = _fake(monkeypatch)
    monkeypatch.setattr(orders, "write_csv", lambda path, count: path)
    end_to_end.ask(replace(options, rows=10_000_000, repeat=1, contestants=[]))
    assert asked == ["staged", "in_memory", "penstock", "floor", "duckdb_sql"]


def test_differences_of_other_questions_stand_in_the_place_of_times() -> None:
    def show(_: Any) -> str:
        return "1.5 s"

    asked = ModuleType("asked")
    asked.__dict__["show"] = show
    answer: dict[str, Any] = {"contestants": {"a": {"differs": ["3 rows"], "wall": 1.5}}}
    assert runner.shown(asked, answer) == "results differ, so that there are no times:\na: 3 rows"
    assert runner.shown(asked, {"contestants": {"a": {"differs": []}}}) == "1.5 s"


@pytest.mark.parametrize(
    ("words", "questions", "file"),
    [
        ([], [], None), (["wide", "--json"], ["wide"], "-"), (["--json", "wide"], ["wide"], "-"),
        (["--json", "a.json", "wide"], ["wide"], "a.json"),
    ],
)  # fmt: skip
def test_json_is_printed_or_written(words: list[str], questions: list[str], file: str | None) -> None:
    chosen = runner.arguments([*words, "--memory", "512MiB"])
    assert (chosen.question, chosen.json, chosen.memory) == (questions, file, 512 << 20)


def test_a_wide_file_has_the_sums_that_are_expected(tmp_path: Path) -> None:
    path = wide.write_csv(tmp_path / "wide.csv", 50, 60)
    header, *rows = path.read_text().splitlines()
    assert (header.count(",") + 1, len(rows)) == (60, 50)
    last = [float(row.rpartition(",")[2] or 0) for row in rows]
    assert wide._expected(50, 60)[-1] == sum(last)


def test_the_readme_has_the_table_that_is_printed() -> None:
    costs = {"wall": 1.0, "cpu": 1.0, "peak_mib": 1.0, "differs": [], "compared": 1, "ratio": {}}
    default = [name for name, one in end_to_end.CONTESTANTS.items() if not one.by_name]
    printed = end_to_end.show({"rows": 1, "best_of": 1, "contestants": dict.fromkeys(default, costs), "failed": {}})
    words = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("| ")]
    readme = [line.split("|")[1].strip() for line in DOCUMENTS["README.md"].splitlines() if line.startswith("| ")]
    assert [word for word in readme if word in words and "---" not in word] == [w for w in words if "---" not in w]


@pytest.mark.parametrize("line", LINES)
def test_a_claim_rests_on_a_question(line: str) -> None:
    backed = [question for words, question in claims.CLAIMS.items() if words in line]
    assert backed, "add it to benchmarks/claims.py with the question that measures it, or leave it out"


@pytest.mark.parametrize(("words", "question"), claims.CLAIMS.items())
def test_the_claims_are_made_and_their_questions_exist(words: str, question: str) -> None:
    assert any(words in line for line in LINES)
    assert question in runner.known()
