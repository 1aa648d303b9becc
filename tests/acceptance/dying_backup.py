"""``python -m tests.acceptance.dying_backup serve …``: the service, killed without warning at a step of a backup.

The file ``$ORDER_TO_DIE`` names the step, as in ``tests.acceptance.dying``.
"""

from __future__ import annotations

import os
from pathlib import Path

from service.catalog.duckdb_store import DuckDBStore
from service.files import backup_directory
from service.files.backup_directory import BackupDirectory
from service.files.backup_writer import BackupWriter
from service.runs.backup import Backups
from tests.acceptance.dying import Order

POINTS = [
    "after the folder is made",
    "before the catalog is copied",
    "after the catalog is copied",
    "after a file",
    "before the catalog is finished",
    "after the catalog is finished",
    "before the manifest",
    "after the manifest",
    "after the name",
]


def arm(order: Order) -> None:
    """Put the points into the steps of a backup."""
    steps = [
        (BackupDirectory, "begin", "", POINTS[0]),
        (DuckDBStore, "copy_to", POINTS[1], POINTS[2]),
        (BackupWriter, "add", "", POINTS[3]),
        (Backups, "_finish_catalog", POINTS[4], POINTS[5]),
        (backup_directory, "write_manifest", POINTS[6], POINTS[7]),
        (BackupDirectory, "commit", "", POINTS[8]),
    ]
    for owner, name, before, after in steps:
        setattr(owner, name, order.around(getattr(owner, name), before=before, after=after))


if __name__ == "__main__":
    arm(Order(Path(os.environ["ORDER_TO_DIE"])))
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
