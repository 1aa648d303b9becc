"""The comparison of two tables against a model in plain Python, over batches of any size, held or spilled."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs.comparison import unmatched
from service.jobs.comparison.comparison import Comparison, reject_repeated
from service.jobs.comparison.digests import comparable, digest
from service.jobs.comparison.pairs import DIGESTS, SHORT_BYTES, Pairs, SideName
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.unmatched import PLACE, Repeated, Room, joined
from service.jobs.comparison.version_rows import VersionRows
from service.kit import errors
from service.values import equality
from tests.examples import examples

NAN = math.nan
floats = st.sampled_from([None, NAN, 0.0, -0.0, 1.0, 1.5, math.inf])
objects = st.sampled_from([None, {"x": 1, "y": None}, {"x": None, "y": "a"}])
VALUES: dict[str, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    "f": (pl.Float64(), floats),
    "s": (pl.String(), st.sampled_from([None, "", "a", "b" * 20])),
    "l": (pl.List(pl.Float64()), st.none() | st.lists(floats, max_size=2)),
    "o": (pl.Struct({"x": pl.Int8(), "y": pl.String()}), objects),
    "e": (pl.Enum(["a", "b"]), st.sampled_from([None, "a", "b"])),
    "c": (pl.Categorical(), st.sampled_from([None, "a", "b"])),
}  # fmt: skip
SCHEMA = {"k": pl.Int64(), **{name: dtype for name, (dtype, _) in VALUES.items()}}


def plain(value: Any) -> Any:
    """A value that equals what is the same value, and can be counted."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    if isinstance(value, dict):
        return tuple((name, plain(item)) for name, item in value.items())
    return tuple(map(plain, value)) if isinstance(value, list) else value


@st.composite
def tables(draw: st.DrawFn, *, unique: bool) -> list[dict[str, Any]]:
    keys = draw(st.lists(st.none() | st.integers(0, 12), max_size=12, unique=unique))
    if draw(st.booleans()):
        keys.sort(key=lambda k: -1 if k is None else k)
    return [{"k": k, **{name: draw(values) for name, (_, values) in VALUES.items()}} for k in keys]


def frame(rows: list[dict[str, Any]], schema: Any = SCHEMA) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema)


@dataclass(frozen=True)
class Compared:
    tally: Tally
    comparison: Comparison
    pairs: Pairs
    unpaired: dict[SideName, pl.DataFrame | None]

    def rows(self, side: SideName) -> list[dict[str, Any]]:
        """The rows of one version without a pair."""
        rows = self.unpaired[side]
        return [] if rows is None else self.pairs.rows(rows, side).to_dicts()


def compare(
    folder: Path, before: pl.DataFrame, after: pl.DataFrame, key: list[str], *, batch: int = 3, buckets: int = 1,
    limit: int = 100,
) -> Compared:  # fmt: skip
    versions: dict[SideName, VersionRows] = {}
    for side, rows in (("b", before), ("a", after)):
        path = folder / f"{side}.parquet"
        rows.write_parquet(path)
        versions[side] = VersionRows([str(path)], rows.schema)  # type: ignore[index]
    pairs = Pairs(before.schema, after.schema, key)
    tally = Tally(pairs, limit)
    total = (before.height + after.height) * SHORT_BYTES
    comparison = Comparison(versions, pairs, tally, Room(batch, max(1, total // buckets), folder))
    comparison.run()
    unpaired = {side: comparison.unpaired(side) for side in versions}
    for version in versions.values():
        Path(version.parts[0]).unlink()
    return Compared(tally, comparison, pairs, unpaired)


@given(
    before=tables(unique=True), after=tables(unique=True), batch=st.integers(1, 5), buckets=st.sampled_from([1, 3]),
    limit=st.sampled_from([0, 1, 100]),
)  # fmt: skip
@examples(75)
def test_rows_by_key(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any], batch: int, buckets: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unmatched, "_LEAST_FIRST", 1)
        compared = compare(folder, frame(before), frame(after), ["k"], batch=batch, buckets=buckets, limit=limit)
    tally, pairs = compared.tally, compared.pairs
    one, other = ({row["k"]: plain(row) for row in rows} for rows in (before, after))
    both = [k for k in other if k in one]
    changed = [k for k in both if one[k] != other[k]]
    assert (tally.rows["b"], tally.rows["a"]) == (len(before), len(after))
    assert tally.paired == len(both)
    assert tally.changed_rows == len(changed)
    for i, name in enumerate(SCHEMA):
        assert tally.changed[i] == sum(dict(one[k])[name] != dict(other[k])[name] for k in both)
    for side, rows, missing in (("b", before, other), ("a", after, one)):
        found = [row["k"] for row in compared.rows(side)]  # type: ignore[arg-type]
        assert found == [row["k"] for row in rows if row["k"] not in missing][:limit]
    samples = tally.samples.rows
    assert ([] if samples is None else pairs.rows(samples, "a")["k"].to_list()) == changed[:limit]
    assert list(folder.iterdir()) == []


@given(
    before=tables(unique=False), after=tables(unique=False), batch=st.integers(1, 5), buckets=st.sampled_from([1, 3])
)
@examples(50)
def test_whole_rows_are_counted_with_duplicates(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any], batch: int, buckets: int
) -> None:
    after = after + before[::2]
    compared = compare(tmp_path_factory.mktemp("diff"), frame(before), frame(after), [], batch=batch, buckets=buckets)
    one, other = (Counter(plain(row) for row in rows) for rows in (before, after))
    assert compared.tally.paired == (one & other).total()
    for side, wanted in (("b", one - other), ("a", other - one)):
        assert Counter(map(plain, compared.rows(side))) == wanted  # type: ignore[arg-type]


@given(keys=st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=12), batch=st.integers(1, 4))
@examples(25)
def test_repeated_keys_are_found(tmp_path_factory: pytest.TempPathFactory, keys: list[int | None], batch: int) -> None:
    """Also if the two rows are far apart; keys that only rise need no second look."""
    rows = pl.DataFrame({"k": pl.Series(keys, dtype=pl.Int64)})
    other = pl.DataFrame({"k": pl.Series([0, 1], dtype=pl.Int64)})
    pairs = Pairs(rows.schema, other.schema, ["k"])
    repeated = len(keys) - len(set(keys))
    try:
        compared = compare(tmp_path_factory.mktemp("diff"), rows, other, ["k"], batch=batch)
    except Repeated:
        assert repeated
    else:
        assert not (compared.comparison.ascending["b"] and repeated)
    if repeated:
        with pytest.raises(errors.Conflict, match=rf"^{repeated} rows of version 3 repeat the key \(k\)"):
            reject_repeated(rows.lazy(), pairs, "b", 3, rows.height, 1)
    else:
        reject_repeated(rows.lazy(), pairs, "b", 3, rows.height, 1)


ONE, TWO = dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 2)
RETYPED: dict[str, list[tuple[pl.DataType, list[Any]]]] = {
    "n": [
        (pl.Int64(), [None, 0, 1, 2**53, 2**53 + 1, -(2**63)]),
        (pl.UInt64(), [None, 0, 1, 2**53 + 1, 2**63]),
        (pl.Float64(), [None, NAN, 0.0, -0.0, 1.0, 1.5, 2.0**53, 2.0**63, -(2.0**63), math.inf, 1e300]),
        (pl.Float32(), [None, NAN, -0.0, 1.0, 1.5, 2.0**53]),
        (pl.Decimal(38, 0), [None, *map(Decimal, ("0", "1", str(10**37)))]),
        (pl.Decimal(20, 2), [None, *map(Decimal, ("0.00", "1.00", "1.50"))]),
        (pl.String(), [None, "1"]),
        (pl.Null(), [None]),
    ],
    "t": [
        (pl.Date(), [None, ONE.date(), TWO.date()]),
        (pl.Datetime("ms"), [None, TWO, ONE, dt.datetime(1970, 1, 1, 1)]),
        (pl.Datetime("ns"), [None, TWO, dt.datetime(1970, 1, 1, 1)]),
        (pl.List(pl.Date()), [None, [], [ONE.date()]]),
        (pl.List(pl.Datetime("ms")), [None, [], [ONE]]),
    ],
}


@pytest.mark.parametrize(
    ("one", "other"), [pair for kinds in RETYPED.values() for pair in itertools.product(kinds, kinds)], ids=str
)
def test_digests_are_equal_just_for_equal_values(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    (before, values), (after, others) = one, other
    rows = pl.DataFrame({"b": pl.Series(values, dtype=before)})
    rows = rows.join(pl.DataFrame({"a": pl.Series(others, dtype=after)}), how="cross")
    made = [("b", before, after), ("a", after, before)]
    sums = [digest([comparable(pl.col(side), dtype, of, side)], [7]).alias(side) for side, dtype, of in made]
    found = rows.select(sums).select(pl.col("b") != pl.col("a")).to_series()
    wanted = rows.select(equality.differ(pl.col("b"), pl.col("a"), before, after)).to_series()
    assert found.to_list() == wanted.to_list()


@st.composite
def retyped(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two tables whose columns have other types; rows are in any order and have unique numbers."""
    made = []
    for _ in range(2):
        keys = draw(st.permutations(range(draw(st.integers(0, 8)))))
        columns = [pl.Series("k", keys, dtype=pl.Int16)]
        for name, types in RETYPED.items():
            dtype, values = draw(st.sampled_from(types))
            columns.append(pl.Series(name, [draw(st.sampled_from(values)) for _ in keys], dtype=dtype))
        made.append(pl.DataFrame(columns))
    return made[0], made[1]


def _pairs_of_rows(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Every row beside every row: their keys, and whether the values in each column are equal."""
    crossed = before.join(after, how="cross", suffix="_after")
    same = [
        ~equality.differ(pl.col(name), pl.col(f"{name}_after"), before.schema[name], after.schema[name])
        for name in RETYPED
    ]
    return crossed.select("k", "k_after", *(one.alias(name) for name, one in zip(RETYPED, same, strict=True)))


@given(tables=retyped(), batch=st.integers(1, 5), buckets=st.sampled_from([1, 3]))
@examples(50)
def test_values_of_other_types_are_compared_by_value(
    tmp_path_factory: pytest.TempPathFactory, tables: tuple[pl.DataFrame, pl.DataFrame], batch: int, buckets: int
) -> None:
    """By key and as whole rows, near each other and far apart, as a comparison of every pair of values says."""
    before, after = tables
    folder = tmp_path_factory.mktemp("diff")
    keyed = _pairs_of_rows(before, after).filter(pl.col("k") == pl.col("k_after"))
    tally = compare(folder, before, after, ["k"], batch=batch, buckets=buckets).tally
    assert tally.paired == keyed.height
    assert [tally.changed[i] for i in (1, 2)] == [int((~keyed[name]).sum()) for name in RETYPED]
    whole = compare(folder, before, after, [], batch=batch, buckets=buckets).tally
    assert whole.paired == keyed.select((pl.col("n") & pl.col("t")).sum()).item()


def test_orders_with_nothing_in_common_are_noticed(tmp_path: Path) -> None:
    """Then all rows are matched by digests, and repeated keys are found on the way."""
    before = pl.DataFrame({"k": list(range(1000)), "v": ["a"] * 1000})
    after = before.with_columns(v=pl.when(pl.col("k") % 100 == 3).then(pl.lit("b")).otherwise("v"))
    after = after.sample(fraction=1.0, shuffle=True, seed=3)
    compared = compare(tmp_path, before, after, ["k"], batch=10, buckets=7)
    tally, samples = compared.tally, compared.tally.samples.rows
    assert (tally.paired, tally.changed_rows, tally.changed) == (1000, 10, Counter({0: 0, 1: 10}))
    assert not compared.comparison.in_order
    assert samples is not None
    assert samples["a0"].to_list() == after.filter(pl.col("v") == "b")["k"].to_list()
    assert set(samples["b1"]) == {"a"}
    with pytest.raises(Repeated):
        compare(tmp_path, before, pl.concat([after, after.tail(1)]), ["k"], batch=10, buckets=7)


def test_only_columns_that_change_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a row changes in another one than the first rows did."""
    before = pl.DataFrame({"k": range(1000)}).with_columns(v=pl.lit(0), w=pl.lit("a"), x=pl.lit(0.5), y=pl.lit(None))
    after = before.with_columns(
        v=pl.col("k") % 2, w=pl.when(pl.col("k").is_in([3, 4])).then(pl.lit("b")).otherwise("w")
    ).sample(fraction=1.0, shuffle=True, seed=3)
    late = pl.col("k").is_in([3, 4])
    after = pl.concat([after.filter(~late), after.filter(late)])
    read: Counter[str] = Counter()
    at = VersionRows.at

    def noted(self: VersionRows, numbers: pl.Series, columns: list[pl.Expr], *more: Any) -> Iterator[pl.DataFrame]:
        read.update({expression.meta.root_names()[0]: len(numbers) for expression in columns})
        return at(self, numbers, columns, *more)

    monkeypatch.setattr(VersionRows, "at", noted)
    tally = compare(tmp_path, before, after, ["k"], batch=10, limit=0).tally
    assert (tally.paired, tally.changed_rows) == (1000, 501)
    assert +tally.changed == Counter({1: 500, 2: 2})
    assert read["v"] == 2 * (501 + 2)  # twice, as both versions are read; rows 3 and 4 once more
    assert read["w"] == read["x"] == read["k"] == 2 * (8 + 2)


@pytest.mark.parametrize("repeat", [False, True])
def test_digests_that_are_equal_by_half_match_nothing(repeat: bool) -> None:
    before = pl.DataFrame({"m0": [1, 2], "m1": [1, 2]}, schema=dict.fromkeys(DIGESTS, pl.UInt64))
    after = pl.DataFrame({"m0": [1, 2, 1], "m1": [3, 2, 1]}, schema=before.schema)
    after = pl.concat([after, after.tail(1)]) if repeat else after
    assert joined(before, after).sort(PLACE["b"]).rows() == [(0, 2), (1, 1)]


def test_the_digests_of_a_row_are_independent() -> None:
    """So that rows of which one digest is equal by chance differ in the other; every type is hashed with a seed."""
    rows = pl.DataFrame({name: pl.Series([None], dtype=dtype) for name, (dtype, _) in VALUES.items()})
    filled = pl.DataFrame([{"f": 1.0, "s": "a", "l": [1.0], "o": {"x": 1, "y": "a"}, "e": "a", "c": "a"}], rows.schema)
    for row in (rows, filled):
        for name in VALUES:
            pairs = Pairs(row.select(name).schema, row.select(name).schema, [])
            assert row.select(pairs.read_keys("b")).select(pl.col("m0") != pl.col("m1")).item()


def test_the_first_rows_are_shown(tmp_path: Path) -> None:
    before = pl.DataFrame({"k": list(range(20)), "v": [0] * 20})
    after = pl.DataFrame({"k": list(range(20)), "v": [1] * 20})
    tally = compare(tmp_path, before, after, ["k"], limit=2).tally
    assert tally.samples.rows is not None
    assert tally.samples.rows["a0"].to_list() == [0, 1]
    assert tally.changed_rows == 20
    none = compare(tmp_path, before, after, ["k"], limit=0).tally
    assert none.samples.rows is None


def test_columns_of_one_version_are_not_compared(tmp_path: Path) -> None:
    before = pl.DataFrame({"k": [1, 2], "gone": ["a", "b"], "n": [1, 2]})
    after = pl.DataFrame({"n": [1.0, 2.5], "k": [1, 2], "new": [True, None]})
    compared = compare(tmp_path, before, after, ["k"])
    tally = compared.tally
    assert [pair.name for pair in compared.pairs.columns] == ["n", "k", "new", "gone"]
    assert (tally.paired, tally.changed_rows, tally.changed) == (2, 1, Counter({0: 1}))
    assert compare(tmp_path, before, after, []).tally.paired == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [(pl.Int32(), pl.Int64()), (pl.String(), pl.Categorical()), (pl.Datetime("ms"), pl.Datetime("ns"))], ids=str,
)  # fmt: skip
def test_keys_of_two_types_match_by_value(tmp_path: Path, one: pl.DataType, other: pl.DataType) -> None:
    values = pl.Series([1, 2, 3]).cast(pl.String) if isinstance(one, pl.String) else pl.Series([1, 2, 3])
    if isinstance(one, pl.Datetime):
        values = values.cast(pl.Datetime("ms"))
    before, after = pl.DataFrame({"k": values.cast(one)}), pl.DataFrame({"k": values.cast(other)}).tail(2)
    tally = compare(tmp_path, before, after, ["k"], buckets=2).tally
    assert (tally.paired, tally.changed_rows) == (2, 0)


def test_keys_that_cannot_be_matched_are_refused() -> None:
    before, after = pl.Schema({"k": pl.Int64(), "gone": pl.Int8()}), pl.Schema({"k": pl.String(), "new": pl.Int8()})
    with pytest.raises(errors.Invalid, match="no column 'kk'; did you mean 'k'"):
        Pairs(before, after, ["kk"])
    with pytest.raises(errors.Invalid, match="only the earlier version has the column 'gone'"):
        Pairs(before, after, ["gone"])
    with pytest.raises(errors.Invalid, match="int64 before and string after"):
        Pairs(before, after, ["k"])
