"""A whole campaign: ``python -m tests.cluster --runs 500 --seed N``.

API processes, workers, PostgreSQL and an S3-compatible store are started on loopback; 40 pipelines are executed, and
somebody is killed, frozen, restarted or cut off all the while. In the end every run has ended, every version is there
once and whole, no schedule fired twice, and SQL was right at every moment; else it ends with 1 and says what is wrong.
``PENSTOCK_TEST_MOTO`` names the Python of an environment that has moto, as in ``.ci/object_store``.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.campaign import Campaign
from tests.cluster.installation import Size


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, help="runs that are asked for (500)")
    parser.add_argument("--kills", type=int, default=60, help="kills among them (60)")
    parser.add_argument("--pipelines", type=int, default=40, help="pipelines (40)")
    parser.add_argument("--apis", type=int, default=3, help="API processes (3)")
    parser.add_argument("--workers", type=int, default=4, help="workers (4)")
    parser.add_argument("--lease", type=float, default=6.0, help="seconds after which a lease runs out (6)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="an empty folder for logs and data, which then stay")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(
            folder.resolve(), Size(chosen.apis, chosen.workers, chosen.lease), pipelines=chosen.pipelines,
            runs=chosen.runs, kills=chosen.kills, seed=chosen.seed, told=functools.partial(print, flush=True),
        )  # fmt: skip
        campaign.run()
        for fault in campaign.faults:
            print(fault, file=sys.stderr)
    return int(bool(campaign.faults))


if __name__ == "__main__":
    sys.exit(main())
