"""Entry functions of children that run SQL as an attacker would who is past the gate. The forkserver imports them."""

from __future__ import annotations

import resource

import duckdb
import msgspec

from service.processes.channel import Channel
from service.sandbox import confinement
from service.sandbox.source import WorkerSetup


class Attack(msgspec.Struct):
    """Statements for a DuckDB that nobody has closed, and the scratch folder that it may write to."""

    statements: list[str]
    scratch: str


class Outcome(msgspec.Struct):
    """What a statement answered, or the text of its error."""

    statement: str
    rows: str = ""
    error: str = ""


def wide_open(channel: Channel, order: bytes) -> None:
    """Run each statement with DuckDB as it is out of the box, on four threads; send each outcome."""
    attack = msgspec.json.decode(order, type=Attack)
    connection = duckdb.connect(config={"threads": 4, "temp_directory": attack.scratch})
    connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
    for statement in attack.statements:
        outcome = Outcome(statement)
        try:
            with connection.cursor() as session:
                outcome.rows = str(session.execute(statement).fetchmany(50))
        except Exception as error:
            outcome.error = str(error)
        channel.send(msgspec.json.encode(outcome))


class Bomb(msgspec.Struct):
    """A statement that wants more memory than a worker has."""

    statement: str
    setup: WorkerSetup


def bombed(channel: Channel, order: bytes) -> None:
    """Run a statement as a query worker does; send what came of it and the most memory that the process had, in MiB."""
    bomb = msgspec.json.decode(order, type=Bomb)
    connection = confinement.open_connection(bomb.setup)
    confinement.confine(connection, [], warehouse=bomb.setup.warehouse, seconds=60)
    try:
        came = str(connection.execute(bomb.statement).fetchmany(1))
    except (duckdb.Error, MemoryError) as error:
        came = type(error).__name__
    channel.send(msgspec.json.encode((came[:100], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)))
