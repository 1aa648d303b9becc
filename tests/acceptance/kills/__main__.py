"""``python -m tests.acceptance.kills --kills 200 --seed N``: prints a table; 1 with seed and step on a violation."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.kills.campaign import ANY_TIME, Campaign, Tally, Violation


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--steps", type=int, help="kill at so many steps at most, not at all of them")
    parser.add_argument("--folder", type=Path, help="an empty folder for the data, which then stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(folder.resolve(), chosen.seed, 25.0, functools.partial(print, flush=True))
        began = time.monotonic()
        try:
            tally = campaign.run(chosen.kills, chosen.steps)
        except Violation as violation:
            print(violation, file=sys.stderr)
            return 1
        print(_table(tally, campaign.steps(), chosen.seed, time.monotonic() - began))
    return 0


def _table(tally: Tally, steps: set[str], seed: int, seconds: float) -> str:
    met = len(steps & set(tally.places))
    lines = [f"seed {seed}: {tally.kills} kills in {seconds:.0f} s, no violation", ""]
    lines += [f"{number:5}  {victims}" for victims, number in sorted(tally.victims.items())]
    lines += ["", f"{tally.places[ANY_TIME]:5}  {ANY_TIME}", f"{met:5}  of {len(steps)} steps"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
