"""The runner: ``python -m benchmarks.run [question …] [--rows N] [--repeat N] [--seconds S] [--json FILE]``.

A question is a module of ``benchmarks.questions`` with ``ask(options)`` and ``show(answer)``. Generated data stays in
``.benchmarks/`` and is used again. Ends with 1 where a contestant failed or results differ.
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
from typing import Any

from benchmarks import questions
from benchmarks.options import Options


def known() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(questions.__path__))


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure Penstock against others.")
    parser.add_argument("question", nargs="*", help=f"one or more of {', '.join(known())}; all where none is named")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of orders data (default 1000000)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions; the best counts (default 3)")
    parser.add_argument("--only", default="", metavar="A,B", help="only these contestants of end_to_end")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the load of mix (default 300)")
    parser.add_argument("--folder", type=Path, default=Path(".benchmarks"), help="where the data is kept")
    parser.add_argument("--json", type=Path, help="also write the answers to this file")
    parsed = parser.parse_args(given)
    wrong = [name for name in parsed.question if name not in known()]
    if wrong:
        parser.error(f"no question {', '.join(wrong)}; there are {', '.join(known())}")
    return parsed


def _wrong(answer: dict[str, Any]) -> bool:
    return bool(answer.get("failed")) or any(c.get("differs") for c in answer.get("contestants", {}).values())


def main() -> int:
    chosen = arguments()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    only = [name for name in chosen.only.split(",") if name]
    options = Options(chosen.rows, chosen.repeat, only, chosen.folder.resolve(), chosen.seconds)
    answers: dict[str, Any] = {}
    for name in chosen.question or known():
        question = importlib.import_module(f"benchmarks.questions.{name}")
        print(f"\n{name}: {(question.__doc__ or '').splitlines()[0]}", flush=True)
        answers[name] = question.ask(options)
        print(question.show(answers[name]), flush=True)
    if chosen.json is not None:
        machine = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0], "at": int(time.time())}
        chosen.json.write_text(json.dumps({"machine": machine, "answers": answers}, indent=2))
    return int(any(_wrong(answer) for answer in answers.values()))


if __name__ == "__main__":
    sys.exit(main())
