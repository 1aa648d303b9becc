"""The command: random cases by kind and number, their outcomes counted, each difference with its input."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from tests.differential import against_duckdb, against_pandas
from tests.differential.verdict import Verdict

KINDS: dict[str, Callable[[Random], Verdict]] = {
    "sql": against_duckdb.query, "expressions": against_duckdb.expression, "pipelines": against_pandas.pipeline,
}  # fmt: skip


def cases(kind: str, seed: int, count: int, first: int = 0) -> Iterator[tuple[int, Verdict]]:
    """The verdicts on the cases of a kind from number ``first`` on."""
    for number in range(first, first + count):
        yield number, KINDS[kind](Random(f"{seed}-{kind}-{number}"))


def main() -> int:
    """Run what the command line asks for. Returns 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description="Compare with DuckDB and pandas.")
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind (default 1000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0, help="number of the first case (default 0)")
    parser.add_argument("--only", choices=sorted(KINDS), help="one kind")
    chosen = parser.parse_args()
    differ = 0
    for kind in [chosen.only] if chosen.only else KINDS:
        outcomes: Counter[str] = Counter()
        for number, verdict in cases(kind, chosen.seed, chosen.count, chosen.first):
            outcomes["differs" if verdict.differs else verdict.outcome] += 1
            if verdict.differs:
                print(f"{kind} {number}: {verdict.text}\n  {verdict.outcome}\n  {verdict.table.write_json()}")
        print(f"{kind}: {dict(outcomes)}", flush=True)
        differ += outcomes["differs"]
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
