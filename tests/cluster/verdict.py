"""What is compared in the end: runs with versions, versions with what the source served, fires with runs, files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from service.model.lifecycle import ENDED
from tests.acceptance import documents, service
from tests.cluster.installation import Installation
from tests.cluster.members import Member
from tests.cluster.source import rows_of
from tests.cluster.watch import Seen
from tests.cluster.work import APPENDED, FOLLOWING, POLLED, REPLACED, Asked, Work

Row = dict[str, Any]
Contents = dict[str, dict[int, list[tuple[int, int]]]]
"""The batches of each version of each pipeline, with their numbers of rows; of polled ones the last id alone."""


class Catalog:
    """The rows of the catalog, as PostgreSQL has them."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            connection.execute("SET search_path = penstock")

            def rows(sql: str) -> list[Row]:
                return connection.execute(sql.encode()).fetchall()

            self.runs = {row["run_id"]: row for row in rows("SELECT * FROM runs ORDER BY sequence")}
            self.versions = rows("SELECT pipeline_id, version, run_id, value FROM versions ORDER BY 1, 2")
            self.fires = rows("SELECT * FROM schedule_fires ORDER BY pipeline_id, due")
            self.keys = {row["key"]: row["resource"] for row in rows("SELECT key, resource FROM idempotency_keys")}

    @property
    def unfinished(self) -> list[str]:
        return [run_id for run_id, row in self.runs.items() if row["status"] not in ENDED]


class Verdict:
    """Compares. ``faults`` is empty if everything is as it must be; ``compared`` counts what was looked at."""

    def __init__(self, at: Installation, work: Work, seen: list[Seen]) -> None:
        self._at = at
        self._work = work
        self.compared: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        catalog = Catalog(at.url)
        self.attempts = Counter(len(json_of(row["value"])["attempts"]) for row in catalog.runs.values())
        contents = self._contents(catalog)
        self.faults = [
            *self._runs(catalog, work.asked), *self._versions(catalog), *self._rows(contents), *self._fires(catalog),
            *self._answers(contents, seen), *self._files(),
        ]  # fmt: skip

    def _runs(self, catalog: Catalog, asked: list[Asked]) -> Iterator[str]:
        """Each key made one run, which has ended as its client was told."""
        mine = Counter(one.run_id for one in asked)
        for run_id, number in mine.items():
            if number > 1:
                yield f"{number} keys have the run {run_id}"
        for one in asked:
            self.compared["runs with keys"] += 1
            row = catalog.runs.get(one.run_id)
            if row is None:
                yield f"the acknowledged run {one.run_id} of {one.pipeline} is lost"
            elif (row["status"], row["version"]) != (one.status, one.version):
                yield f"{one.run_id} was {one.status} ({one.version}) and is {row['status']} ({row['version']})"
            if catalog.keys.get(one.key) != one.run_id:
                yield f"the key {one.key} made {one.run_id}, and stands for {catalog.keys.get(one.key)}"
        for run_id, row in catalog.runs.items():
            self.statuses[row["status"]] += 1
            if row["requested_by"] not in ("schedule", "trigger") and run_id not in mine:
                yield f"nobody asked for the run {run_id} of {row['pipeline']} ({row['requested_by']})"
            if row["status"] not in ENDED:
                yield f"{run_id} of {row['pipeline']} is {row['status']}"
            if row["status"] in ("failed", "interrupted"):
                yield f"{run_id} of {row['pipeline']} is {row['status']}: {json_of(row['value'])['error']}"

    def _versions(self, catalog: Catalog) -> Iterator[str]:
        """Versions and completed runs belong together one by one, and numbers have no gap."""
        made = Counter(version["run_id"] for version in catalog.versions)
        numbers: dict[str, list[int]] = {}
        for version in catalog.versions:
            self.compared["versions"] += 1
            numbers.setdefault(version["pipeline_id"], []).append(version["version"])
            run = catalog.runs.get(version["run_id"])
            if run is None or (run["status"], run["version"]) != ("completed", version["version"]):
                yield f"version {version['version']} of {version['pipeline_id']} has the run {run}"
        for run_id, row in catalog.runs.items():
            brought = bool(made[run_id])
            unchanged = json_of(row["value"]).get("unchanged", False)
            if made[run_id] > 1 or brought != (row["status"] == "completed" and not unchanged):
                yield f"{run_id} is {row['status']} and made {made[run_id]} versions"
        for pipeline_id, found in numbers.items():
            if found != list(range(1, len(found) + 1)):
                yield f"{pipeline_id} has the versions {found}"

    def _contents(self, catalog: Catalog) -> Contents:
        names = {row["pipeline_id"]: row["pipeline"] for row in catalog.runs.values()}
        contents: Contents = {}
        for version in catalog.versions:
            contents.setdefault(names[version["pipeline_id"]], {})[version["version"]] = []
        for name, versions in contents.items():
            column = "id" if name.startswith(POLLED.name) else "batch"
            parts = "max(id), count(*), count(DISTINCT id)" if column == "id" else "batch, count(*), count(DISTINCT id)"
            group = "" if column == "id" else " GROUP BY batch"
            for number in versions:
                sql = f'SELECT {parts}, min(id) AS least FROM "{name}@{number}"{group} ORDER BY 1'
                answer = self._at.callers.ask(
                    self._at.apis[number % len(self._at.apis)], "POST", "/query", json={"sql": sql}
                )
                assert answer.status_code == 200, f"{name}@{number}: {answer.text}"
                for top, rows, ids, least in (tuple(row.values()) for row in answer.json()["data"]):
                    self.compared["rows"] += rows
                    first = 1 if column == "id" else 0
                    versions[number].append((top, rows if rows == ids and least == first else -1))
        return contents

    def _rows(self, contents: Contents) -> Iterator[str]:
        """Each version is whole, and of batches that the source served, each in one version."""
        source = self._at.source
        for name, versions in contents.items():
            before: list[tuple[int, int]] = []
            for number, batches in sorted(versions.items()):
                where = f"version {number} of {name}"
                if name.startswith(POLLED.name):
                    whole = len(batches) == 1 and batches[0][0] == batches[0][1] <= source.records[name]
                    grows = not before or batches[0][0] >= before[0][0]
                else:
                    served = source.batches[_origin(name)]
                    whole = all(rows == rows_of(batch) and batch <= served for batch, rows in batches)
                    more = batches[: len(before)] == before and len(batches) == len(before) + 1
                    alone = len(batches) == 1 and (not before or batches[0][0] > before[0][0])
                    grows = more if name.startswith(APPENDED.name) else alone
                if not whole:
                    yield f"{where} is not whole: {batches}"
                if not grows:
                    yield f"{where} is {batches} after {before}"
                before = batches
        for name, versions in contents.items():
            if (
                name.startswith(FOLLOWING.name)
                and versions[max(versions)] != contents[_origin(name)][max(contents[_origin(name)])]
            ):
                yield f"{name} does not follow {_origin(name)}"

    def _fires(self, catalog: Catalog) -> Iterator[str]:
        """Each time that was due has one run, and none is left out."""
        for before, after in zip(catalog.fires, catalog.fires[1:], strict=False):
            if before["pipeline_id"] == after["pipeline_id"] and after["since"] - before["due"] != timedelta(minutes=1):
                yield f"after the fire of {before['due']} comes that of {after['since']}"
        runs = Counter(fire["run_id"] for fire in catalog.fires)
        self.compared["fires"] = len(catalog.fires)
        scheduled = {run_id for run_id, row in catalog.runs.items() if row["requested_by"] == "schedule"}
        doubled = [run_id for run_id, number in runs.items() if number > 1]
        if set(runs) != scheduled or doubled:
            yield f"fires and runs differ: {sorted(set(runs) ^ scheduled)} {doubled}"

    def _answers(self, contents: Contents, seen: list[Seen]) -> Iterator[str]:
        """What SQL answered was published, and was not older than what was known by then."""
        tops = {
            name: {v: max(t for t, _ in batches) for v, batches in found.items()} for name, found in contents.items()
        }
        for one in seen:
            self.compared["SQL answers"] += 1
            found = [version for version, top in tops.get(one.table, {}).items() if top == one.top]
            if not found or max(found) < one.known:
                yield f"SQL answered {one.top} of {one.table} ({found}), and version {one.known} was known"

    def _files(self) -> Iterator[str]:
        """Every object is as it was written, and every API process agrees."""
        for member in self._at.apis:
            answer = verified(member)
            self.compared["files verified"] += int(answer.get("files", 0))
            if not answer.get("ok"):
                yield f"verify at {member.name}: {json.dumps(answer)[:2000]}"


def verified(member: Member) -> Row:
    """What ``penstock verify --deep`` answers about the data directory of a member."""
    command = [sys.executable, "-m", "service", "verify", "--deep", "--json", "--data-dir", str(member.data)]
    environment = service.clean_environment(PYTHONPATH=str(documents.ROOT), **member.environment)
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        answer: Row = json.loads(found.stdout)
    except ValueError:
        return {"failed": f"{found.returncode} {found.stdout} {found.stderr}"}
    return answer


def json_of(value: Any) -> Row:
    """A value of a JSON column, as an object."""
    found: Row = value if isinstance(value, dict) else json.loads(value)
    return found


def _origin(name: str) -> str:
    """The pipeline that the source served the rows of ``name`` to."""
    return name.replace(FOLLOWING.name, REPLACED.name) if name.startswith(FOLLOWING.name) else name
