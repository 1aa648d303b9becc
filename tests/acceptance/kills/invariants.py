"""What must hold whenever a service was killed: in the catalog that it left, and when the next one has recovered."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from service.files import backup_directory
from service.files.checksums import Checksums
from service.model.lifecycle import ENDED, STORED, TRANSITIONS
from tests.acceptance.kills.workload import RETENTION, Work, rows_of

Row = dict[str, Any]
Listed = dict[str, dict[int, bool]]
"""Of each pipeline the numbers of its versions, and whether they are held."""
_MINUTE = timedelta(minutes=1)


@dataclass
class Snapshot:
    """The catalog as a killed service left it."""

    pipelines: dict[str, Row]
    runs: dict[str, Row]
    versions: dict[tuple[str, int], Row]
    deleted: set[tuple[str, int]]
    fires: list[Row]
    keys: dict[str, str | None]
    marked: set[tuple[str, int]]

    @classmethod
    def empty(cls) -> Snapshot:
        return cls({}, {}, {}, set(), [], {}, set())

    @classmethod
    def of(cls, data: Path, scratch: Path) -> Snapshot:
        """Read a copy of the catalog and its write-ahead log; empty if there is none yet."""
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name in ("catalog.duckdb", "catalog.duckdb.wal"):
            if (data / name).exists():
                shutil.copyfile(data / name, scratch / name)
        with duckdb.connect(str(scratch / "catalog.duckdb")) as catalog:
            if not catalog.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'runs'").fetchall():
                return cls.empty()  # it died at its first start

            def rows(sql: str) -> list[Row]:
                cursor = catalog.execute(sql)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

            marks = rows(
                "SELECT pipeline_id, version FROM version_pins UNION SELECT pipeline_id, version FROM version_tags"
            )
            return cls(
                pipelines={r["id"]: r for r in rows("SELECT id, name, deleted FROM pipelines")},
                runs={r["run_id"]: r for r in rows("SELECT * FROM runs ORDER BY sequence")},
                versions={(r["pipeline_id"], r["version"]): r for r in rows("SELECT * FROM versions ORDER BY ALL")},
                deleted={(r["pipeline_id"], r["version"]) for r in rows("SELECT * FROM deleted_versions")},
                fires=rows("SELECT * FROM schedule_fires ORDER BY due"),
                keys={r["key"]: r["resource"] for r in rows("SELECT key, resource FROM idempotency_keys")},
                marked={(r["pipeline_id"], r["version"]) for r in marks},
            )  # fmt: skip

    @property
    def unfinished(self) -> set[str]:
        """The pipelines whose run had not ended."""
        return {run["pipeline_id"] for run in self.runs.values() if run["status"] not in ENDED}


@dataclass
class Ledger:
    """What was ever seen, which no later look may contradict."""

    statuses: dict[str, str] = field(default_factory=dict)
    numbers: dict[tuple[str, int], str] = field(default_factory=dict)
    fires: dict[datetime, str | None] = field(default_factory=dict)
    checksums: Checksums = field(default_factory=Checksums)
    backups: set[str] = field(default_factory=set)

    # the catalog alone

    def catalog_faults(self, found: Snapshot, work: Work) -> Iterator[str]:
        """What a catalog contradicts: what was acknowledged, what was seen earlier, and itself."""
        yield from self._acknowledged(found, work)
        yield from self._lifecycle(found)
        yield from self._numbers(found)
        yield from self._fires(found)

    def _acknowledged(self, found: Snapshot, work: Work) -> Iterator[str]:
        for run_id, name in list(work.runs.items()):
            if run_id not in found.runs:
                yield f"the acknowledged run {run_id} of {name} is lost"
        for run_id, version in list(work.versions.items()):
            run = found.runs.get(run_id)
            if run is not None and (run["status"] not in STORED or run["version"] != version):
                yield f"{run_id} was completed as version {version}, and is {run['status']} ({run['version']})"
        for key, run_id in list(work.keys.items()):
            if found.keys.get(key) not in (run_id, None):
                yield f"the key {key} made {run_id}, and stands for {found.keys[key]}"

    def _lifecycle(self, found: Snapshot) -> Iterator[str]:
        active = Counter(run["pipeline_id"] for run in found.runs.values() if run["status"] not in ENDED)
        for pipeline_id, number in active.items():
            if number > 1:
                yield f"{number} runs of {found.pipelines[pipeline_id]['name']} are unfinished at once"
        for run_id, run in found.runs.items():
            before = self.statuses.setdefault(run_id, run["status"])
            if before != run["status"] and run["status"] not in _reachable(before):
                yield f"{run_id} was {before} and is {run['status']}"
            self.statuses[run_id] = run["status"]
            value = json.loads(run["value"])
            if run["status"] in ENDED and (
                value["end_time"] is None or (value["attempts"] and value["attempts"][-1]["end_time"] is None)
            ):
                yield f"{run_id} is {run['status']} without an end"
            key = run["pipeline_id"], run["version"]
            if run["status"] in STORED and key not in found.versions and key not in found.deleted:
                yield f"{run_id} is {run['status']} and its version {run['version']} is lost"
            if run["status"] not in STORED and run["version"] is not None:
                yield f"{run_id} is {run['status']} and names version {run['version']}"

    def _numbers(self, found: Snapshot) -> Iterator[str]:
        for key, version in found.versions.items():
            name = f"version {key[1]} of {found.pipelines[key[0]]['name']}"
            if self.numbers.setdefault(key, version["run_id"]) != version["run_id"]:
                yield f"the number of {name} was used again"
            run = found.runs.get(version["run_id"])
            if run is None or run["status"] not in STORED:
                yield f"{name} was committed without its run"
        for key in self.numbers:
            if key not in found.versions and key not in found.deleted:
                yield f"version {key[1]} of {found.pipelines.get(key[0], key)} is lost"

    def _fires(self, found: Snapshot) -> Iterator[str]:
        for before, after in zip(found.fires, found.fires[1:], strict=False):
            if after["since"] - before["due"] != _MINUTE:
                yield f"after the fire of {before['due']} comes that of {after['since']}"
        for fire in found.fires:
            if self.fires.setdefault(fire["due"], fire["run_id"]) != fire["run_id"]:
                yield f"the fire of {fire['due']} has another run than before"
        runs = Counter(fire["run_id"] for fire in found.fires)
        scheduled = [run_id for run_id, run in found.runs.items() if run["requested_by"] == "schedule"]
        if sorted(runs.elements()) != sorted(scheduled):
            yield f"fires and runs differ: {sorted(set(runs) ^ set(scheduled))} {[r for r, n in runs.items() if n > 1]}"

    # files

    def file_faults(self, data: Path, found: Snapshot, listed: Listed, *, frozen: bool) -> Iterator[str]:
        """What is wrong with the files, when ``listed`` (numbers by pipeline) are the versions of the next service.

        ``frozen`` is whether only retention can have deleted versions since.
        """
        for (pipeline_id, number), row in found.versions.items():
            name = found.pipelines[pipeline_id]["name"]
            if found.pipelines[pipeline_id]["deleted"] is not None or (name == "brief" and not frozen):
                continue
            if number not in listed.get(name, {}):
                newer = sum(n > number and held == row["held"] for n, held in listed.get(name, {}).items())
                if frozen and (newer < RETENTION["versions"] or (pipeline_id, number) in found.marked):
                    yield f"version {number} of {name} is lost"
                continue
            version, folder = json.loads(row["value"]), data / "warehouse" / name / f"v{number:06d}"
            yield from self._version_faults(folder, version)
            if frozen and pipeline_id not in found.unfinished:
                files = {f["name"] for f in (*_files(version), *version["state"])}
                there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
                if unknown := {
                    n for n in there - files if n != "manifest.json" and not n.startswith((f"{name}.", ".tmp-"))
                }:
                    yield f"{folder.name} of {name} holds {sorted(unknown)}"

    def _version_faults(self, folder: Path, version: Row) -> Iterator[str]:
        for file in _files(version):
            fault = self.checksums.fault(folder / file["name"], file["bytes"], file["sha256"])
            if fault is not None:
                yield f"{folder.name} of {folder.parent.name}: {fault}"

    def backup_faults(self, directory: Path) -> Iterator[str]:
        """What is wrong with the whole backups; each is read once."""
        for folder in backup_directory.BackupDirectory(directory).backups():
            if folder.name in self.backups:
                continue
            self.backups.add(folder.name)
            for file in backup_directory.read_manifest(folder).files:
                fault = self.checksums.fault(folder / file.path, file.bytes, file.sha256)
                if fault is not None:
                    yield f"backup {folder.name}: {fault}"


def _files(version: Row) -> list[Row]:
    """The files of a version that never change."""
    record = [version["tape"]] if version.get("tape") else []
    return [*version["files"], *version.get("quarantine", []), *record]


def _reachable(status: str) -> set[str]:
    """All that a status may become, in one or more steps."""
    found: set[str] = set()
    left = [status]
    while left:
        for after in TRANSITIONS[left.pop()]:  # type: ignore[index]
            if after not in found:
                found.add(after)
                left.append(after)
    return found


def folder_faults(data: Path, listed: Listed) -> Iterator[str]:
    """What lies in the folders of the warehouse and should not, and what does not and should."""
    warehouse = data / "warehouse"
    if (warehouse / ".orphaned").exists():
        yield f"folders were orphaned: {[str(p) for p in (warehouse / '.orphaned').rglob('v*')]}"
    for name, numbers in listed.items():
        folder = warehouse / name
        there = {p.name for p in folder.iterdir()} if folder.exists() else set()
        wanted = {f"v{number:06d}" for number in numbers}
        if there - {"current"} != wanted:
            surplus, lacking = sorted(there - {"current"} - wanted), sorted(wanted - there)
            yield f"the folder of {name} holds {surplus} and lacks {lacking}"
        newest = f"v{newest_of(numbers):06d}" if numbers else None
        if newest is not None and (
            not (folder / "current").is_symlink() or (folder / "current").readlink().name != newest
        ):
            yield f"current of {name} is not {newest}"
        for hidden in folder.glob("v*/.*"):
            if not hidden.name.startswith(".tmp-"):  # a native table is being loaded
                yield f"{hidden.relative_to(data)} is left"


def newest_of(numbers: dict[int, bool]) -> int:
    """The newest published version."""
    return max(number for number, held in numbers.items() if not held)


def content_faults(data: Path, listed: Listed, work: Work) -> Iterator[str]:
    """Whether the rows of the newest versions are those of whole rounds and batches, each once."""
    frames = {
        name: pl.read_parquet(data / "warehouse" / name / f"v{newest_of(n):06d}" / "part-*.parquet")
        for name, n in listed.items()
        if n
    }
    for name in ("replaced", "kept", "guarded", "following"):
        if name in frames:
            rounds = frames[name].group_by("round").len().rows()
            whole = len(rounds) == 1 and rounds[0][1] == (1 if rounds[0][0] == 0 else rows_of(rounds[0][0]))
            if not whole:
                yield f"{name} mixes rounds: {rounds}"
    for name in ("appended", "merged"):
        found = frames[name].select("id", "round").rows() if name in frames else []
        batches, least = work.batches[name], work.settled[name]
        possible = [sorted(_content(name, batches[:n])) for n in range(least, len(batches) + 1)]
        if sorted(found) not in possible:
            yield f"{name} is not the sum of {least} batches, at most {len(batches)}"
    if "polled" in frames:
        ids = sorted(frames["polled"]["id"].to_list())
        if ids != list(range(1, len(ids) + 1)):
            yield f"polled lacks or repeats records: {len(ids)} rows up to {ids[-1]}"


def _content(name: str, batches: list[dict[str, int]]) -> list[tuple[int, int]]:
    if name == "appended":
        return [(int(n), number) for batch in batches for n, number in batch.items()]
    merged: dict[int, int] = {}
    for batch in batches:
        merged |= {int(n): number for n, number in batch.items()}
    return list(merged.items())
