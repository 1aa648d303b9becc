"""Row filters: nothing of an answer, an error, a statistic or a count tells of the rows that a filter hides.

The same requests go to two tables that differ in their hidden rows alone, one with values that break a computation
which sees them: every answer and every error must be the same.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import polars as pl
import pytest

from service.kit import errors
from service.query.engine import Engine
from service.query.messages import Resolved, SqlQuery
from service.query.results import key_of
from service.query.scope import Scope
from service.sandbox.source import TableSource
from tests.acceptance.warehouse import Warehouse, answered, body, document, store

FILTER = "tenant = 'a'"
SCOPE = Scope.of(None, {"orders": FILTER})
SECRET = "canary of a hidden row"
MINE = 300

STATEMENTS = [
    "SELECT count(*), min(id), max(id), sum(amount), avg(amount), approx_count_distinct(id) FROM orders",
    "SELECT * FROM orders ORDER BY id LIMIT 3",
    "SELECT * FROM orders LIMIT 3",
    "SELECT * FROM orders OFFSET 290",
    "FROM orders TABLESAMPLE 100%",
    "SUMMARIZE orders",
    "DESCRIBE orders",
    "SELECT sum(CAST(text AS INTEGER)) FROM orders",
    "SELECT count(*) FROM orders WHERE CAST(text AS INTEGER) > 5",
    "SELECT id FROM orders WHERE CAST(text AS INTEGER) = 7 AND tenant = 'b'",
    "SELECT id FROM orders WHERE tenant = 'b'",
    "SELECT id FROM orders WHERE tenant <> 'a' OR 1 / (amount - amount) > 0",
    "SELECT id FROM orders WHERE CASE WHEN tenant = 'b' THEN error(text) ELSE true END LIMIT 2",
    "SELECT error(text) FROM orders WHERE tenant = 'b'",
    "SELECT sum(big * 2) FROM orders",
    "SELECT big * 100 FROM orders ORDER BY ALL LIMIT 1",
    "SELECT max(big + 1) FROM orders",
    "SELECT id FROM orders WHERE big + 9223372036854775000 > 0 LIMIT 1",
    "SELECT id FROM orders WHERE regexp_matches(text, '^canary')",
    "SELECT list(DISTINCT tenant), string_agg(DISTINCT tenant, ',') FROM orders",
    "SELECT mode(tenant), histogram(tenant), first(tenant), last(tenant) FROM orders",
    "SELECT tenant, count(*) FROM orders GROUP BY ALL ORDER BY ALL",
    "SELECT tenant, count(*) FROM orders GROUP BY ROLLUP (tenant) ORDER BY ALL",
    "SELECT id, row_number() OVER (), lag(text) OVER (ORDER BY id), count(*) OVER () FROM orders ORDER BY id LIMIT 5",
    "SELECT id, lead(text) OVER (), first_value(text) OVER (ORDER BY big DESC) FROM orders LIMIT 5",
    "SELECT a.id, b.id FROM orders a JOIN orders b ON a.id = b.id - 1 ORDER BY ALL LIMIT 5",
    "SELECT count(*) FROM orders a, orders b",
    "SELECT count(*) FROM orders a POSITIONAL JOIN orders b",
    "SELECT o.id FROM (VALUES (5), (100000)) v(n) LEFT JOIN orders o ON o.id = v.n ORDER BY ALL",
    "SELECT o.id FROM orders o JOIN (VALUES ('7'), ('x')) v(t) ON CAST(o.text AS INTEGER) = TRY_CAST(v.t AS INTEGER)",
    "SELECT o.id FROM orders o ASOF JOIN (VALUES (3), (50)) v(n) ON o.id >= v.n ORDER BY ALL LIMIT 4",
    "SELECT id FROM orders WHERE id IN (SELECT id FROM orders WHERE tenant = 'b')",
    "SELECT id FROM orders o WHERE EXISTS (FROM orders p WHERE p.id = o.id + 1 AND p.tenant = 'b')",
    "SELECT (SELECT max(text) FROM orders), (SELECT count(*) FROM orders)",
    "WITH c AS MATERIALIZED (FROM orders) SELECT count(*) FROM c WHERE CAST(text AS INTEGER) < 50",
    "WITH c AS NOT MATERIALIZED (FROM orders) SELECT count(*) FROM c WHERE CAST(text AS INTEGER) < 50",
    "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < (SELECT count(*) FROM orders)) "
    "SELECT max(n) FROM r",
    "PIVOT orders ON tenant USING count(*)",
    "PIVOT (SELECT tenant, part FROM orders) ON tenant USING count(*) GROUP BY part ORDER BY ALL",
    "UNPIVOT (SELECT id, big FROM orders LIMIT 2) ON COLUMNS(*)",
    "SELECT COLUMNS('^(id|tenant)$') FROM orders ORDER BY id LIMIT 2",
    "SELECT max(COLUMNS(*)) FROM orders",
    "SELECT id FROM orders EXCEPT SELECT id FROM orders WHERE tenant = 'a'",
    "SELECT text FROM orders UNION SELECT tenant FROM orders ORDER BY ALL",
    "SELECT DISTINCT ON (tenant) tenant FROM orders",
    "SELECT quantile_cont(amount, [0.0, 0.5, 1.0]), stddev_samp(amount), corr(id, amount) FROM orders",
    "SELECT approx_quantile(amount, 0.5), approx_top_k(tenant, 5), entropy(tenant) FROM orders",
    "SELECT arg_max(text, big), arg_min(text, id), any_value(text), bit_xor(id) FROM orders",
    "SELECT rowid FROM orders",
    "SELECT file_row_number FROM orders",
    "SELECT filename FROM orders",
    "SELECT nothing FROM orders",
    "SELECT stats(id) FROM orders",
    "SELECT o FROM orders o ORDER BY o.id LIMIT 1",
    "SELECT to_json(o) FROM orders o ORDER BY o.id LIMIT 1",
    "SELECT list_filter(list(text), lambda t: starts_with(t, 'canary')) FROM orders",
    "SELECT count(*) FILTER (WHERE tenant = 'b'), bool_or(text LIKE 'canary%') FROM orders",
    "SELECT id FROM orders WHERE text SIMILAR TO 'canary.*'",
    "SELECT id FROM orders WHERE (tenant = 'a') = false",
    "SELECT id FROM orders WHERE true) OR (true",
    "SELECT count(*) FROM orders WHERE NOT (tenant = 'a') OR tenant IS NULL",
    "SELECT max(length(text)), sum(length(text)) FROM orders",
    "SELECT substr(max(text), 1, 6), text FROM orders GROUP BY text ORDER BY ALL DESC LIMIT 1",
    "SELECT sqrt(amount) FROM orders ORDER BY id LIMIT 3",
    "SELECT ln(amount) FROM orders",
    "SELECT CAST(amount AS TINYINT) FROM orders",
    "SELECT CAST(day AS VARCHAR), count(*) FROM orders GROUP BY ALL ORDER BY ALL",
    "SELECT day + INTERVAL 7000 YEAR FROM orders",
    "SELECT strptime(text, '%Y') FROM orders",
    "SELECT repeat(text, 3) FROM orders ORDER BY id LIMIT 2",
    "SELECT count(*) FROM orders WHERE id < 1000 AND CAST(text AS INTEGER) >= 0 AND part < 5",
    "SELECT id FROM orders ORDER BY CAST(text AS INTEGER) DESC LIMIT 2",
    "SELECT max(id) FROM orders GROUP BY CAST(text AS INTEGER) % 3 ORDER BY ALL",
    "SELECT count(*) FROM orders HAVING max(CAST(text AS INTEGER)) > 5",
    "SELECT id FROM orders QUALIFY row_number() OVER (ORDER BY CAST(text AS INTEGER)) = 1",
    'SELECT count(*) FROM "orders@3"',
    "SHOW TABLES",
    "FROM penstock.versions",
    "EXPLAIN FROM orders",
    "EXPLAIN ANALYZE FROM orders",
]

Act = Callable[..., Awaitable[Any]]


def frame(hidden: int) -> pl.DataFrame:
    """``MINE`` rows of tenant a in order, among ``hidden`` ones that no computation survives."""
    mine = pl.select(id=pl.int_range(MINE)).with_columns(
        tenant=pl.lit("a"), text=pl.format("{}", "id"), amount=1.5 * pl.col("id"), big=pl.col("id") * 3,
        part=pl.col("id") % 7, day=pl.date(2024, 1, 1) + pl.duration(days="id"),
    )  # fmt: skip
    others = pl.select(id=1000 + pl.int_range(hidden)).with_columns(
        tenant=pl.when(pl.col("id") % 5 > 0).then(pl.lit("b")), text=pl.lit(SECRET), amount=pl.lit(-1e300),
        big=pl.lit(9_223_372_036_854_775_000), part=pl.col("id") % 11, day=pl.date(9999, 12, 31),
    )  # fmt: skip
    first, last = others.head(hidden // 3), others.tail(hidden - hidden // 3)
    return pl.concat([first, mine.head(100), last, mine.tail(MINE - 100)], how="vertical_relaxed")


@pytest.fixture(scope="module", params=[False, True], ids=["parquet", "native"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Warehouse]:
    made = [store(tmp_path_factory.mktemp(f"hidden-{n}"), frame(n), native=request.param) for n in (0, 20_000)]
    for warehouse in made:
        warehouse.sources["orders@3"] = warehouse.sources["orders"]
    return made


def told(both: list[Warehouse], act: Act) -> Any:
    """What ``act`` finds, which must be the same over both tables and hold nothing that is hidden."""
    few, many = (answered(warehouse, functools.partial(act, stored=warehouse)) for warehouse in both)
    assert many == few
    assert SECRET not in repr(many)
    return many


def plain(error: errors.PenstockError) -> tuple[str, str, str]:
    return error.error_code, error.message, json.dumps(error.details, default=str)


async def sql(made: Engine, statement: str, **options: Any) -> Any:
    try:
        found = document((await made.sql(statement, scope=SCOPE, **options)).content)
        return {k: v for k, v in found.items() if k != "elapsed_ms"}
    except errors.PenstockError as error:
        return plain(error)


def test_no_statement_tells_of_hidden_rows(both: list[Warehouse]) -> None:
    async def act(made: Engine, stored: Warehouse) -> list[Any]:
        return [await sql(made, statement) for statement in STATEMENTS]

    found = dict(zip(STATEMENTS, told(both, act), strict=True))
    assert found[STATEMENTS[0]]["data"][0]["count_star()"] == MINE
    assert found["SELECT id FROM orders WHERE tenant = 'b'"]["data"] == []
    assert found["SELECT sum(CAST(text AS INTEGER)) FROM orders"]["row_count"] == 1
    assert found["EXPLAIN FROM orders"][0] == "ROW_FILTERED"
    assert found["FROM penstock.versions"][0] == "SQL_NOT_ALLOWED"


def test_the_data_route_and_its_formats(both: list[Warehouse]) -> None:
    requests: list[dict[str, Any]] = [
        {}, {"limit": 2, "offset": 299}, {"limit": 0}, {"sort": "-big", "limit": 2}, {"filter": "tenant = 'b'"},
        {"filter": "CAST(text AS INTEGER) > 290"}, {"filter": "id IN (299, 5, 1001, 7, 3, 200, 100, 99, 98, 97, 96)"},
        {"columns": ["text"], "sort": "text", "limit": 3}, {"offset": 250, "limit": 400}, {"filter": "nothing = 1"},
        *({"format": form, **cut} for form in ("ndjson", "csv", "arrow") for cut in ({}, {"limit": 5, "offset": 98})),
    ]  # fmt: skip

    async def act(made: Engine, stored: Warehouse) -> list[Any]:
        found: list[Any] = []
        for request in requests:
            try:
                found.append(await body(await made.data(stored.sources["orders"], scope=SCOPE, **request)))
            except errors.PenstockError as error:
                found.append(plain(error))
        parquet = await made.data(stored.sources["orders"], scope=SCOPE, format="parquet")
        return [*found, pl.read_parquet(await body(parquet)).rows()]

    found = told(both, act)
    assert json.loads(found[0])["total_rows"] == MINE
    assert [row["id"] for row in json.loads(found[6])["data"]] == [3, 5, 7, 96, 97, 98, 99, 100, 200, 299]
    assert len(found[-1]) == MINE


def test_schema_and_lookup(both: list[Warehouse]) -> None:
    async def act(made: Engine, stored: Warehouse) -> list[Any]:
        source = stored.sources["orders"]
        found: list[Any] = [re.sub(rb'"data_types".*', b"", await made.schema(source, scope=SCOPE))]
        for keys in (["5"], ["1001"], ["5", "1001", "7"]):
            texts = [[key] for key in keys]
            answer = await made.lookup(source, ["id"], ["integer"], texts, only=len(keys) == 1, scope=SCOPE)
            found.append(answer.content)
        return found

    schema, one, none, several = told(both, act)
    assert b'"max":299' in schema
    assert (json.loads(one)["row_count"], none, json.loads(several)["missing"]) == (1, b"", [1])


@pytest.mark.parametrize(
    "condition",
    ["nothing = 1", "tenant = (SELECT 'a')", "sum(id) > 0", "id", "stats(id) IS NOT NULL", "tenant = 'a') OR (true",
     "true; SELECT 1", "row_number() OVER () > 0", "?", "", "   "],
)  # fmt: skip
def test_a_filter_that_does_not_fit_shows_no_row(both: list[Warehouse], condition: str) -> None:
    """A condition that is no truth value of the row (``id``) is one to DuckDB."""
    scope = Scope.of(None, {"orders": condition})

    async def act(made: Engine, stored: Warehouse) -> int:
        answer = await made.sql("SELECT count(*) AS n FROM orders", scope=scope)
        found: int = document(answer.content)["data"][0]["n"]
        return found

    if condition == "id":
        assert answered(both[0], lambda made: act(made, both[0])) == MINE - 1
    else:
        assert told(both, act) == 0


def test_scopes_share_no_worker_and_no_answer(both: list[Warehouse]) -> None:
    scopes = [Scope(), SCOPE, Scope.of(None, {"orders": "id < 10"}), Scope.of(frozenset({"other"}), {})]

    async def act(made: Engine) -> list[list[Any]]:
        async def count(scope: Scope) -> Any:
            try:
                answer = await made.sql("SELECT count(*) AS n FROM orders", scope=scope)
                return document(answer.content)["data"][0]["n"]
            except errors.PenstockError as error:
                return error.error_code

        return [list(await asyncio.gather(*map(count, scopes))) for _ in range(3)]

    for found in answered(both[1], act, cache_bytes=1 << 20):
        assert found == [MINE + 20_000, MINE, 10, "SQL_NOT_ALLOWED"]


def test_a_filter_that_depends_on_the_day_is_asked_again(both: list[Warehouse]) -> None:
    scope = Scope.of(None, {"orders": "day <= current_date"})
    query = SqlQuery("FROM orders", "json", 1, 1, 1.0, known=Resolved([both[0].sources["orders"]]))
    assert key_of(query, SCOPE) is not None
    assert key_of(query, scope) is None


def test_a_filter_holds_for_all_names_of_a_table() -> None:
    source = TableSource(table="t", pipeline="orders", version=1, parts=[])
    for name in ("T", "t@3", "t@live", "t__quarantine", "t__quarantine@2", "its_earlier_name"):
        assert SCOPE.filtered(msgspec.structs.replace(source, table=name)).row_filter == FILTER
