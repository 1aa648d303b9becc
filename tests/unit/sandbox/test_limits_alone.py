"""The limits of a process hold without the gate and without a single setting of DuckDB."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import polars as pl
import pytest

from service.processes import forkserver
from service.processes.child import Child
from service.processes.limits import Limits
from service.sandbox.source import WorkerSetup
from tests.unit.sandbox import attackers, attacks

CANARY = "canary-of-another"
ACCOUNTS = "root:"  # what is in /etc/passwd
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    forkserver.prepare(["polars", "duckdb"])


async def outcomes(attack: attackers.Attack, limits: Limits) -> list[attackers.Outcome]:
    """Of each statement; where one ends the process, another process goes on after it."""
    found: list[attackers.Outcome] = []
    while left := attack.statements[len(found) :]:
        order = msgspec.json.encode(attackers.Attack(left, attack.scratch))
        child, before = await Child.start(attackers.wide_open, order, limits), len(found)
        while (message := await child.receive()) is not None:
            found.append(msgspec.json.decode(message, type=attackers.Outcome))
        end = await child.wait()
        if len(found) < len(attack.statements):
            found.append(attackers.Outcome(attack.statements[len(found)], error=f"the process ended: {end}"))
        assert len(found) > before
    return found


def written_by_threads(place: Path) -> str:
    return f"COPY (FROM range(1000000)) TO '{place}' (FORMAT csv, PER_THREAD_OUTPUT)"


def test_requirement_02_no_attack_leaks_anything_without_the_settings_of_duckdb(tmp_path: Path) -> None:
    """The whole corpus, and what aims at the files of this test and at a port of this machine."""
    data, scratch, outside = tmp_path / "data", tmp_path / "scratch", tmp_path / "outside"
    for folder in (data, scratch, outside):
        folder.mkdir()
    (data / "secret.key").write_text(CANARY)
    pl.DataFrame({"v": [CANARY] * 200_000}).write_parquet(data / "other.parquet", row_group_size=1000)
    before = {path: path.read_bytes() for path in data.iterdir()}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        aimed = [
            f"FROM read_text('{data}/secret.key')", f"FROM '{data}/other.parquet'", f"FROM glob('{data}/*')",
            f"SELECT max(v) FROM read_parquet(['{data}/other.parquet'])",
            f"FROM parquet_metadata('{data}/other.parquet')",
            f"COPY (SELECT 1) TO '{data}/secret.key'", f"ATTACH '{data}/new.duckdb' AS new",
            f"EXPORT DATABASE '{outside}/all'", written_by_threads(outside / "many"), f"FROM 'http://{host}/x.parquet'",
            f"ATTACH 'http://{host}/x.duckdb' AS far", f"COPY (SELECT 1) TO 'http://{host}/x.csv'",
            f"INSTALL spatial FROM 'http://{host}'", "FROM read_text('/proc/1/environ')",
        ]  # fmt: skip
        corpus = [*attacks.REFUSED, *attacks.UNSTORED, *aimed]
        limits = Limits(memory_bytes=1 << 30, write=(str(scratch),))
        found = asyncio.run(outcomes(attackers.Attack(corpus, str(scratch)), limits))
        with pytest.raises(BlockingIOError):  # nobody has connected
            listener.accept()
    assert len(found) == len(corpus)
    for outcome in found:
        assert CANARY not in outcome.rows, outcome
        assert ACCOUNTS not in outcome.rows, outcome
    assert [outcome for outcome in found[-len(aimed) :] if not outcome.error and "glob" not in outcome.statement] == []
    assert {path: path.read_bytes() for path in data.iterdir()} == before
    assert list(outside.iterdir()) == []
    assert not Path("/tmp/x.csv").exists()


def test_requirement_02_threads_of_duckdb_are_confined(tmp_path: Path) -> None:
    """They are started after the limits were applied. The same statement writes where it may."""
    allowed, refused = tmp_path / "allowed", tmp_path / "refused"
    allowed.mkdir()
    statements = [written_by_threads(refused), written_by_threads(allowed / "many")]
    limits = Limits(memory_bytes=1 << 30, write=(str(allowed),))
    no, yes = asyncio.run(outcomes(attackers.Attack(statements, str(allowed)), limits))
    assert ("Permission denied" in no.error, refused.exists()) == (True, False), no
    assert yes.error == ""
    assert any((allowed / "many").iterdir())


BOMBS = [
    "SELECT list_resize([1], 2000000000, 0)",
    "SELECT array_to_string(range(100000000), ',')",
    "SELECT repeat('x', 2000000000)",
    "SELECT format('{:>2000000000}', 'x')",
    "SELECT printf('%2000000000d', 1)",
    "SELECT string_agg(repeat('x', 1000000)) FROM range(5000)",
    "SELECT repeat('1', 2000000000)::BIT",
]


@pytest.mark.parametrize("statement", BOMBS)
def test_requirement_09_a_bomb_of_one_row_ends_at_the_limit(tmp_path: Path, statement: str) -> None:
    memory = 768 * MIB
    setup = WorkerSetup(str(tmp_path), str(tmp_path), memory, 200 * MIB, 2)
    limits = Limits(memory_bytes=memory, read=(str(tmp_path),), write=(str(tmp_path),))

    async def act() -> tuple[str, int]:
        child = await Child.start(attackers.bombed, msgspec.json.encode(attackers.Bomb(statement, setup)), limits)
        message = await child.receive()
        await child.wait()
        assert message is not None, "it ended its process"
        return msgspec.json.decode(message, type=tuple[str, int])

    came, most = asyncio.run(act())
    assert came in ("OutOfMemoryException", "MemoryError"), came
    assert most * MIB < memory + 100 * MIB
