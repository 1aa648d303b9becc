"""The runner: ``python -m benchmarks [question …] [--rows N] [--repeat N] [--json [FILE]]``.

A question is a module of ``benchmarks.questions`` with ``ask(options)`` and ``show(answer)``; ``DEFAULT_ROWS`` are its
rows where none are given, ``ONLY_BY_NAME`` keeps one that takes hours out of a run of all. Generated data stays in
``.benchmarks/`` and is used again. Results are compared before times are: where they differ no time is shown, and the
exit status is 1, as where a contestant failed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import questions
from benchmarks.options import Options

ROWS = 1_000_000
_STDOUT = "-"


def known() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(questions.__path__))


def question(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.questions.{name}")


def _bytes(text: str) -> int:
    """A size such as 512MiB or 2GiB."""
    number, unit = text[:-3], text[-3:]
    return int(float(number) * {"MiB": 1 << 20, "GiB": 1 << 30}[unit])


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Penstock against others.")
    parser.add_argument("question", nargs="*", metavar="NAME", help=f"{', '.join(known())}; most where none is named")
    parser.add_argument("--rows", type=int, help="rows of data (each question has its own default, most 1000000)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; the best counts (default 3)")
    parser.add_argument("--only", default="", metavar="A,B", help="only these contestants of end_to_end")
    parser.add_argument("--memory", type=_bytes, default="2GiB", help="what a run may use in large and wide (2GiB)")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the load of mix (default 300)")
    parser.add_argument("--folder", type=Path, default=Path(".benchmarks"), help="where the data is kept")
    parser.add_argument(
        "--json", nargs="?", const=_STDOUT, metavar="FILE", help="the answers as JSON, alone or to FILE"
    )
    parsed = parser.parse_args(given)
    if parsed.json in known():  # python -m benchmarks --json end_to_end
        parsed.question, parsed.json = [parsed.json, *parsed.question], _STDOUT
    wrong = [name for name in parsed.question if name not in known()]
    if wrong:
        parser.error(f"no question {', '.join(wrong)}; there are {', '.join(known())}")
    return parsed


def differences(answer: dict[str, Any]) -> list[str]:
    """What differs, with the contestant's name before it."""
    entries = answer.get("contestants", {}).items()
    return [f"{name}: {problem}" for name, entry in entries for problem in entry.get("differs", ())]


def shown(asked: ModuleType, answer: dict[str, Any]) -> str:
    """The answer for people: differences in the place of times, unless the question has put them there itself."""
    found = differences(answer)
    if found and not getattr(asked, "COMPARES_FIRST", False):
        return "\n".join(["results differ, so that there are no times:", *found])
    text: str = asked.show(answer)
    return text


def main(given: list[str] | None = None) -> int:
    """Ask, print, and return the exit status."""
    chosen = arguments(given)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    only = [name for name in chosen.only.split(",") if name]
    people = sys.stderr if chosen.json == _STDOUT else sys.stdout
    answers: dict[str, Any] = {}
    for name in chosen.question or [name for name in known() if not getattr(question(name), "ONLY_BY_NAME", False)]:
        asked = question(name)
        rows = chosen.rows or getattr(asked, "DEFAULT_ROWS", ROWS)
        folder = chosen.folder.resolve()
        print(f"\n{name}: {(asked.__doc__ or '').splitlines()[0]}\n", file=people, flush=True)
        answers[name] = asked.ask(Options(rows, chosen.repeat, only, folder, chosen.seconds, chosen.memory))
        print(shown(asked, answers[name]), file=people, flush=True)
    if chosen.json is not None:
        machine = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0], "at": int(time.time())}
        text = json.dumps({"machine": machine, "answers": answers}, indent=2)
        print(text) if chosen.json == _STDOUT else Path(chosen.json).write_text(text)
    return int(any(answer.get("failed") or differences(answer) for answer in answers.values()))


if __name__ == "__main__":
    sys.exit(main())
