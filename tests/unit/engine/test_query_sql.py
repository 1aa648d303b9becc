"""SELECTs over the current data: what DuckDB answers, in its order and types, within the memory of the process."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import resource
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from service.engine import query_sql, spill
from service.engine.memory import Memory
from service.engine.polars_frame import PolarsFrame
from service.kit import process_memory
from service.processes import forkserver
from service.sandbox import in_process

NUMBERS = [None, 0, 1, 2, -3]
TABLE = pl.DataFrame(
    [(a, b, s, p, q) for a in NUMBERS for b in (None, 1, -2)
     for s, p, q in ((None, True, False), ("ab", None, True), ("b", False, None))],
    schema={"a": pl.Int64, "b": pl.Int64, "s": pl.String, "p": pl.Boolean, "q": pl.Boolean}, orient="row",
).with_row_index("id").with_columns(pl.col("id").cast(pl.Int64), g=pl.col("a").cast(pl.Int8))  # fmt: skip


def run(frame: pl.DataFrame, query: str, folder: Path) -> pl.DataFrame:
    """As a run does it; the foretold schema is that of the rows, and a few rows in memory give the same."""
    made = PolarsFrame(frame.lazy(), folder).query(query)
    rows = made.lazy.collect()
    described = query_sql.described(query, frame.schema)
    assert rows.schema == made.schema == described.schema
    again = query_sql.over_rows(described, frame)
    assert again.schema == rows.schema
    if "ORDER BY" in query:
        assert again.equals(rows, null_equal=True)
    assert not [p for p in folder.iterdir() if p.name.startswith("spill")]
    return rows


def by_duckdb(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("input", TABLE.to_arrow())
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT g, sum(a) AS s, count(*) AS n, count(DISTINCT s) AS d, avg(b) AS m FROM input GROUP BY g ORDER BY g",
        "SELECT id FROM input ORDER BY a DESC, s DESC NULLS FIRST, id",
        "SELECT id, rank() OVER (PARTITION BY p ORDER BY a DESC) AS r FROM input ORDER BY id",
        "SELECT id, sum(a) OVER (ORDER BY id) AS s FROM input ORDER BY id",
        "SELECT id, lag(a) OVER (PARTITION BY s ORDER BY id) AS l FROM input ORDER BY id",
        "SELECT id, g * 10 AS n, length(s) - 10 AS l, strpos(s, 'b') AS b FROM input ORDER BY id",
        "SELECT x.id, y.id AS o FROM input x JOIN input y ON x.a = y.b AND x.id < y.id ORDER BY 1, 2",
        "SELECT x.id, y.s FROM input x LEFT JOIN input y ON x.a = y.id ORDER BY 1",
        "SELECT DISTINCT s, p FROM input ORDER BY s, p",
        "SELECT id FROM input WHERE a IN (SELECT b FROM input) ORDER BY id",
        "SELECT s FROM input UNION SELECT 'z' AS s FROM input ORDER BY s",
        "WITH t AS (SELECT s, max(b) AS m FROM input GROUP BY s) SELECT s FROM t WHERE m IS DISTINCT FROM 1 ORDER BY s",
        "SELECT * EXCLUDE (s, p, q) FROM input WHERE q IS NOT TRUE ORDER BY id LIMIT 3 OFFSET 1",
        "SELECT g, sum(a) AS s FROM input GROUP BY g HAVING sum(a) > 0 ORDER BY s DESC, g",
        "SELECT -id AS id, s FROM input ORDER BY input.id LIMIT 1",
        "SELECT x.s, y.id FROM input x JOIN input y ON x.id = y.a ORDER BY x.id, y.id LIMIT 2",
        "SELECT log10(id + 1) AS l, log(10, id + 1) AS b, log2(id + 1) AS t FROM input ORDER BY id",
        "SELECT a, list(id ORDER BY id) AS ids FROM input GROUP BY a ORDER BY a",
        "SELECT id FROM input QUALIFY row_number() OVER (PARTITION BY a ORDER BY id) = 1 ORDER BY id",
        "SELECT p, string_agg(s, ',' ORDER BY id) AS t FROM input GROUP BY ALL ORDER BY ALL",
    ],
)
def test_a_query_answers_what_duckdb_answers(query: str, tmp_path: Path) -> None:
    assert run(TABLE, query, tmp_path).rows() == by_duckdb(query)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5) | st.none(), max_size=30), st.sampled_from(["v > 0", "v IN (1, 2, 3)", "v IS NULL"]))
def test_rows_keep_their_order_without_an_order(
    tmp_path_factory: pytest.TempPathFactory, values: list[int | None], where: str
) -> None:
    frame = pl.DataFrame({"v": values, "n": range(len(values))}, schema={"v": pl.Int64, "n": pl.Int64})
    found = run(frame, f"SELECT n FROM input WHERE {where}", tmp_path_factory.mktemp("q"))["n"].to_list()
    assert found == sorted(found)


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(600_000)})
    found = PolarsFrame(frame.lazy(), tmp_path).query("SELECT n, n % 7 AS m FROM input WHERE n % 3 = 0")
    assert found.lazy.collect()["n"].to_list() == list(range(0, 600_000, 3))
    assert len(list(tmp_path.iterdir())) == 1  # the stage that it read is gone


SMALL = [pl.Int8(), pl.UInt8(), pl.Int16(), pl.UInt16(), pl.Int32(), pl.UInt32()]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("SELECT a, a * 100 AS m, b AS c FROM input", {"a": 8, "m": 64, "c": 8}),
        ("SELECT * FROM input WHERE a * 100 > 9000", {"a": 8, "b": 8}),
        ("SELECT i.* FROM input i", {"a": 8, "b": 8}),
        ("SELECT * REPLACE (a * 100 AS a) FROM input", {"a": 64, "b": 8}),
        ("SELECT * EXCLUDE (a), a * 100 AS a FROM input", {"b": 8, "a": 64}),
        ("SELECT * RENAME (a AS z) FROM input", {"z": 8, "b": 8}),
        ("SELECT b AS a, a * 100 AS b FROM input", {"a": 8, "b": 64}),
        ("SELECT x.a, y.b * 100 AS n FROM input x JOIN input y ON x.a = y.a", {"a": 8, "n": 64}),
        ("SELECT a, sum(b) AS s, count(*) AS n FROM input GROUP BY a", {"a": 8, "s": 64, "n": 64}),
        ("WITH t AS (SELECT a * 100 AS a FROM input) SELECT a FROM t", {"a": 64}),
        ("SELECT a FROM (SELECT a * 100 AS a FROM input) t", {"a": 64}),
        ("SELECT a FROM input UNION ALL SELECT a * 100 FROM input", {"a": 64}),
        ("SELECT max(a) AS a FROM input", {"a": 64}),
    ],
)
@pytest.mark.parametrize("dtype", SMALL)
def test_small_whole_numbers_count_in_64_bits_and_keep_their_type_where_they_go_through(
    query: str, types: dict[str, int], dtype: pl.DataType, tmp_path: Path
) -> None:
    frame = pl.DataFrame({"a": [12, 100, None], "b": [11, 120, 3]}, schema={"a": dtype, "b": dtype})
    rows = run(frame, query, tmp_path)
    assert dict(rows.schema) == {name: dtype if bits == 8 else pl.Int64() for name, bits in types.items()}


TYPED = pl.DataFrame(
    {
        "e": pl.Series(["u", None], dtype=pl.Enum(["v", "u"])),
        "c": pl.Series(["u", None], dtype=pl.Categorical()),
        "z": pl.Series([dt.datetime(2024, 7, 1, 23), None]).dt.replace_time_zone("Europe/Berlin"),
        "m": pl.Series([dt.datetime(2024, 7, 1, 23), None], dtype=pl.Datetime("ms")),
        "n": pl.Series([1, None], dtype=pl.Datetime("ns")),
        "d": pl.Series([dt.timedelta(days=3, microseconds=1), None], dtype=pl.Duration("ns")),
        "t": pl.Series([dt.time(1, 2, 3), None]),
        "x": pl.Series(["1.50", None]).cast(pl.Decimal(10, 2)),
        "l": pl.Series([[1, None], None]),
        "s": pl.Series([{"k": 1, "w": "é"}, None]),
        "b": pl.Series([b"\x00", None]),
        "f": pl.Series([1.5, None], dtype=pl.Float32()),
        "u": pl.Series([2**64 - 1, None], dtype=pl.UInt64()),
    }
)


def test_every_type_goes_through_as_it_is(tmp_path: Path) -> None:
    rows = run(TYPED, "SELECT * FROM input ORDER BY e", tmp_path)
    assert rows.equals(TYPED, null_equal=True)
    assert rows.schema == TYPED.schema


@pytest.mark.parametrize(
    ("query", "dtype", "value"),
    [
        ("SELECT sum(u) AS v FROM (SELECT u // 4 AS u FROM input)", pl.Int64(), (2**64 - 1) // 4),
        ("SELECT z - z AS v FROM input LIMIT 1", pl.Duration("us"), dt.timedelta(0)),
        ("SELECT hour(z) AS v FROM input LIMIT 1", pl.Int64(), 23),
        ("SELECT d + INTERVAL 1 DAY AS v FROM input LIMIT 1", pl.Duration("us"), dt.timedelta(days=4, microseconds=1)),
        ("SELECT MAP {'k': 1} AS v FROM input LIMIT 1", None, [{"key": "k", "value": 1}]),
        ("SELECT x * 1.5 AS v FROM input LIMIT 1", None, None),
        ("SELECT 'a'::ENUM ('a', 'b') AS v FROM input LIMIT 1", pl.String(), "a"),
        ("SELECT [1::HUGEINT] AS v FROM input LIMIT 1", pl.List(pl.Int64()), [1]),
        ("SELECT NULL AS v FROM input LIMIT 1", pl.Int32(), None),
    ],
)
def test_types_of_results(query: str, dtype: pl.DataType | None, value: Any, tmp_path: Path) -> None:
    rows = run(TYPED, query, tmp_path)
    assert dtype is None or rows.schema["v"] == dtype
    assert value is None or rows["v"].to_list()[0] == value


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT sum(v) AS total FROM input", "out of range.*column total.*DECIMAL\\(38, 0\\) holds more"),
        ("SELECT v + v AS w FROM input", "Overflow in addition of INT64"),
        ("SELECT CAST(t AS INTEGER) AS w FROM input", "Could not convert string 'x' to INT32"),
        ("SELECT v // 0 AS w FROM input", "Division by zero"),
    ],
)
def test_a_value_that_fails_is_an_error(query: str, message: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"v": [2**63 - 1, 1], "t": ["x", "1"]})
    with pytest.raises(ValueError, match=message):
        PolarsFrame(frame.lazy(), tmp_path).query(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT v, v FROM input", "two columns of the result are named 'v'"),
        ("DESCRIBE input", "write one SELECT"),
        ("SUMMARIZE input", "write one SELECT"),
        ('SELECT "current_date" FROM input', "answers something else each time"),
        ('SELECT "random"() FROM input', "no function 'random'"),
        ("SELECT * FROM read_csv('x')", "no function 'read_csv'"),
        ("SELECT * FROM duckdb_settings()", "no function"),
        ("SELECT getenv('HOME') FROM input", "no function 'getenv'"),
        ("SELECT * FROM input, (SELECT * FROM other)", "only 'input' can be read"),
        ("WITH RECURSIVE t AS (SELECT 1 AS v UNION ALL SELECT v + 1 FROM t) SELECT * FROM t, input", "recursive"),
    ],
)
def test_what_may_not_be_run(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        query_sql.described(query, pl.Schema({"v": pl.Int64()}))


def test_a_parquet_source_is_read_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "source.parquet"
    pl.DataFrame({"v": range(100_000)}).write_parquet(source)
    frame = PolarsFrame(pl.scan_parquet(source), tmp_path, expensive=False, files=[source])
    assert frame.query("SELECT sum(v) AS s FROM input").lazy.collect().item() == 4_999_950_000
    assert len(frame.staged) == 1  # only the result
    odd = PolarsFrame(pl.scan_parquet(source).rename({"v": "w"}), tmp_path, expensive=False, files=[source])
    assert odd.query("SELECT sum(w) AS s FROM input").lazy.collect().item() == 4_999_950_000


def _sorted_within(folder: str, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    source = Path(folder) / "source.parquet"
    frame = PolarsFrame(pl.scan_parquet(source), Path(folder), expensive=False, files=[source])
    made = frame.query("SELECT * FROM input ORDER BY v, t")
    first, last = made.lazy.select(pl.col("v").first(), last=pl.col("v").last()).collect().row(0)
    assert (first, last) == (0, 2_999_999)
    assert Path("/proc/self/status").read_text().count("VmHWM") == 1


@pytest.mark.slow
def test_a_sort_of_more_than_the_memory_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in forkserver.GIVEN_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    rows = 3_000_000
    keys = pl.int_range(rows, eager=True)
    mixed = (keys * 1_999_993) % rows
    texts = pl.concat_str(pl.lit("t" * 60), mixed.cast(pl.String))
    pl.DataFrame({"v": mixed}).with_columns(texts.alias("t")).write_parquet(tmp_path / "source.parquet")
    child = multiprocessing.get_context("spawn").Process(target=_sorted_within, args=(str(tmp_path), 576 << 20))
    child.start()
    child.join(120)
    assert child.exitcode == 0


def _chained_within(folder: str, more: int) -> None:
    limit = process_memory.held() + more
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with spill.into(Path(folder) / "spilled", Memory()):
        frame = PolarsFrame(pl.scan_parquet(Path(folder) / "source.parquet"), Path(folder), expensive=False)
        ranked = frame.sort(["t"], descending=[False]).query(
            "SELECT *, row_number() OVER (PARTITION BY k ORDER BY v) AS n FROM input ORDER BY u"
        )
        assert ranked.lazy.select(pl.col("n").sum(), pl.len()).collect().row(0) == (40 * 6250 * 6251 // 2, 250_000)


@pytest.mark.slow
def test_a_query_has_what_a_sort_before_it_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of a window hold a partition each, and what waited for files held 64 MiB of stacks."""
    for name, value in forkserver.GIVEN_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    row = pl.int_range(250_000, eager=True)
    mixed = (row * 199_933) % 250_000
    texts = {name: pl.format("a text {}" + "x" * 80, column) for name, column in (("t", mixed), ("u", row))}
    pl.DataFrame({"v": mixed, "k": row % 40}).lazy().with_columns(**texts).sink_parquet(tmp_path / "source.parquet")
    child = multiprocessing.get_context("spawn").Process(target=_chained_within, args=(str(tmp_path), 340 << 20))
    child.start()
    child.join(300)
    assert child.exitcode == 0


def test_one_thread_tries_what_several_have_no_memory_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    connect = in_process.connect

    def counted(**settings: Any) -> duckdb.DuckDBPyConnection:
        threads.append(settings["threads"])
        return connect(**settings)

    frame = PolarsFrame(pl.LazyFrame({"v": range(60_000)}), tmp_path)
    text = "SELECT v, 'text ' || v AS t FROM input ORDER BY v DESC"
    query_sql.described(text, frame.schema)  # a connection that stays is made with the memory that there is
    monkeypatch.setattr(in_process, "connect", counted)
    monkeypatch.setattr(in_process, "free_memory", lambda *, most=False: 256 << 20 if most else 1 << 20)
    made = frame.query(text)
    assert made.lazy.collect()["v"].to_list() == [*range(59_999, -1, -1)]
    assert threads == [pl.thread_pool_size(), 1]
    monkeypatch.setattr(in_process, "free_memory", lambda *, most=False: 1 << 20)
    with pytest.raises(MemoryError):
        frame.query(text)


def test_memory_is_what_the_limit_leaves() -> None:
    assert 64 << 20 <= in_process.free_memory() <= in_process.free_memory(most=True) <= 1 << 44


def test_the_result_is_read_in_small_groups(tmp_path: Path) -> None:
    frame = PolarsFrame(pl.LazyFrame({"n": range(60_000)}), tmp_path, expensive=False)
    made = frame.query("SELECT n, 'text ' || n AS t FROM input")
    (result,) = tmp_path.glob("result-*.parquet")
    groups = parquet.ParquetFile(result).metadata  # type: ignore[no-untyped-call]  # it ships no types
    assert max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= query_sql.GROUP_ROWS
    assert made.lazy.collect(engine="streaming")["n"].to_list() == list(range(60_000))
