"""The review of a statement as DuckDB binds it: the tables and functions of its logical plan, behind the gate's names.

The gate judges what is written; a mistake there (a scope that DuckDB sees otherwise, a view or a macro that unfolds
to more, letters that are equal for DuckDB alone) shows here. A statement is bound over stand-ins, which are empty
tables with the columns of the stored ones, because a scan of Parquet cannot be written as JSON. DuckDB finds all other
names as it will find them when the statement is executed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from service.sandbox import gate
from service.sandbox.functions import REFUSED, REFUSED_PREFIXES
from service.sandbox.quoting import quoted, same
from service.sandbox.snapshots import PREFIX, SCHEMA

_DATABASE = "standins"
_PATH = f"{_DATABASE}.main,memory.main"
_PLAN = "SELECT json_serialize_plan(?, skip_null := true, skip_empty := true, skip_default := true, optimize := false)"
_OPERATORS = frozenset(
    """
    AGGREGATE_AND_GROUP_BY ANY_JOIN ASOF_JOIN CHUNK_GET COMPARISON_JOIN CROSS_PRODUCT CTE_REF DELIM_GET DELIM_JOIN
    DEPENDENT_JOIN DISTINCT DUMMY_SCAN EMPTY_RESULT EXCEPT EXPRESSION_GET FILTER GET INTERSECT JOIN LIMIT
    MATERIALIZED_CTE ORDER_BY PIVOT POSITIONAL_JOIN PROJECTION RECURSIVE_CTE SAMPLE TOP_N UNION UNNEST WINDOW
    """.split()  # noqa: SIM905 - a list of words
)
_LOGICAL = "LOGICAL_"
_PASSING = "penstock passing"
_SCAN = ["seq_scan"]
_TYPES = {
    "bool": "BOOLEAN", "int": "BIGINT", "float": "DOUBLE", "str": "VARCHAR", "Decimal": "DECIMAL(38, 9)",
    "datetime": "TIMESTAMP", "date": "DATE", "time": "TIME", "timedelta": "INTERVAL", "bytes": "BLOB",
}  # fmt: skip
_LISTING_TABLES = frozenset({"duckdb_tables", "duckdb_views"})
_LISTING_FUNCTIONS = frozenset({"in_search_path"})
"""What SHOW TABLES is made of."""


def begin(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for stand-ins, while the connection is open."""
    connection.execute(f"ATTACH ':memory:' AS {_DATABASE}")


def stand_in(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Create the stand-ins of the views ``tables``."""
    for table in tables:
        name = quoted(table)
        connection.execute(f"CREATE TABLE {_DATABASE}.main.{name} AS FROM memory.main.{name} WITH NO DATA")


@contextlib.contextmanager
def standing_in(connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    """A stand-in for a relation that has no view yet, meanwhile; its name."""
    name = f"{_DATABASE}.main.{quoted(_PASSING)}"
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM {relation} WITH NO DATA")
    try:
        yield _PASSING
    finally:
        connection.execute(f"DROP TABLE {name}")


def check(
    session: duckdb.DuckDBPyConnection, select: str, tables: Iterable[str] = (), *, listing: bool = False
) -> bool:
    """Refuse a SELECT that reads another table or calls a function that the gate refuses; False if it does not bind.

    ``session`` is changed: it must be one that nothing else uses. ``tables`` are the names that the gate found, system
    tables among them. ``listing``: SHOW TABLES may be in it. Raises ``errors.Invalid`` (SQL_NOT_ALLOWED; INVALID_SQL if
    it is nested too deeply).
    """
    path = f"{_PATH},memory.{SCHEMA}" if any(same(name).startswith(PREFIX) for name in tables) else _PATH
    session.execute(f"SET search_path = '{path}'")
    try:
        ((text,),) = session.execute(_PLAN, [select]).fetchall()
        found = _read(text)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return False
    except RecursionError:
        raise gate.invalid("the statement is nested too deeply") from None
    if found.get("error") or len(found.get("plans", ())) != 1:
        return False
    for node in _named(found):
        refusal = _refusal(node, listing=listing)
        if refusal is not None:
            raise gate.refused(f"{refusal} is not allowed")
    return True


def _read(text: str) -> dict[str, Any]:
    """A plan. DuckDB writes numbers that are not finite as Python's own reader takes them, which JSON does not know."""
    try:
        found: dict[str, Any] = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = json.loads(text)
    return found


def with_types(
    select: str, parameters: Iterable[gate.Reference], values: Sequence[Any] | Mapping[str, Any]
) -> str | None:
    """The SELECT with nothing of the types of the ``values`` in the place of its ``parameters``; None without any.

    DuckDB makes no plan as JSON while the type of a parameter is open.
    """
    named = values if isinstance(values, Mapping) else {str(i): v for i, v in enumerate(values, 1)}
    text, at, parts = select.encode(), 0, []
    for place in sorted(parameters, key=lambda p: p.start):
        if place.start < at:
            return None
        parts += [text[at : place.start], _nothing(named.get(place.name)).encode()]
        at = place.start + place.length
    return b"".join([*parts, text[at:]]).decode() if parts else None


def _nothing(value: Any) -> str:
    """A missing value of the type that DuckDB gives to a parameter with ``value``."""
    if isinstance(value, list):
        return f"[{', '.join(map(_nothing, value[:1]))}]"
    if isinstance(value, dict) and value:
        return f"struct_pack({', '.join(f'{quoted(str(name))} := {_nothing(v)}' for name, v in value.items())})"
    kind = _TYPES.get(type(value).__name__)
    return f"CAST(NULL AS {kind})" if kind is not None else "NULL"


def _named(root: Any) -> Iterator[dict[str, Any]]:
    """The operators and the calls of functions in a plan."""
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            if "qname" in value or str(value.get("type")).startswith(_LOGICAL):
                yield value
            pending.extend(value.values())


def _refusal(node: dict[str, Any], *, listing: bool) -> str | None:
    """What a part of the plan names that it must not; None if it is allowed."""
    path = list(map(str, node.get("qname", {}).get("path", [])))
    name = same(path[-1]) if path else ""
    operator = str(node.get("type"))
    if operator.startswith(_LOGICAL) and operator.removeprefix(_LOGICAL) not in _OPERATORS:
        return operator.removeprefix(_LOGICAL).replace("_", " ")
    if operator == "LOGICAL_GET":
        if path == _SCAN:
            table = node.get("function_data", {}).get("qualified_name", {}).get("path", [])
            is_stored = table[:2] == [_DATABASE, "main"] or table[:2] == ["memory", SCHEMA]
            return None if is_stored else f"the table '{'.'.join(map(str, table[1:]))}'"
        allowed = gate.TABLE_FUNCTIONS | (_LISTING_TABLES if listing else set())
        return None if path[:-1] == ["system", "main"] and name in allowed else f"the table function '{name}'"
    if not path:
        return None
    if len(path) > 1 and path[0] != "system":
        return f"the function '{'.'.join(path)}'"
    if listing and name in _LISTING_FUNCTIONS:
        return None
    return f"the function '{name}'" if name in REFUSED or name.startswith(REFUSED_PREFIXES) else None
