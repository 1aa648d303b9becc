"""A whole campaign: ``python -m tests.acceptance.kills --seed N``.

The service is killed 200 times at any time, and once before and once after every step that it meets (some 350 points
of publications, merges, retention sweeps, backups, starts, …) until no new step comes: about half an hour on two cores.
The victims are server, worker, forkserver, or two of them. Each kill is one line; a table of them ends it. A violation
ends it with 1 and is described with the seed and the step; the data stays in ``--folder``.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.kills.campaign import Campaign, Violation


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.acceptance.kills", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="kills at any time")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--steps", type=int, help="kill at so many steps at most, not at all of them")
    parser.add_argument("--folder", type=Path, help="an empty folder for the data, which then stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(folder.resolve(), chosen.seed, functools.partial(print, flush=True))
        began = time.monotonic()
        try:
            tally = campaign.run(chosen.kills, chosen.steps)
        except Violation as violation:
            print(violation, file=sys.stderr)
            return 1
        print(f"\nseed {chosen.seed}: {tally.kills} kills in {time.monotonic() - began:.0f} s, 0 violations\n")
        print(tally.table(campaign.steps()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
