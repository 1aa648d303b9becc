"""The comparison of two tables against a model in plain Python, over batches of any size, held or spilled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs.comparison.comparison import Comparison, Repeated, reject_repeated
from service.jobs.comparison.pairs import ROW, Pairs, SideName
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.unmatched import Unmatched
from service.kit import errors
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


def compare(
    folder: Path, before: pl.DataFrame, after: pl.DataFrame, key: list[str], *, batch: int = 3, buckets: int = 1,
    limit: int = 100,
) -> tuple[Tally, Comparison, Pairs]:  # fmt: skip
    pairs = Pairs(before.schema, after.schema, key)
    tally = Tally(pairs, limit)
    unmatched = Unmatched(folder, pairs.matching_columns, total_bytes=buckets, bucket_bytes=1)
    comparison = Comparison(pairs, tally, unmatched, batch)

    def batches(side: SideName, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        numbered = (
            rows.select(pairs.read(side)).with_row_index(ROW[side]).with_columns(pl.col(ROW[side]).cast(pl.Int64))
        )
        return (numbered.slice(at, batch) for at in range(0, rows.height, batch))

    comparison.run({"b": batches("b", before), "a": batches("a", after)})
    return tally, comparison, pairs


@given(before=tables(unique=True), after=tables(unique=True), batch=st.integers(1, 5), buckets=st.sampled_from([1, 3]))
@examples(150)
def test_rows_by_key(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any], batch: int, buckets: int
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    tally, _, pairs = compare(folder, frame(before), frame(after), ["k"], batch=batch, buckets=buckets)
    one, other = ({row["k"]: plain(row) for row in rows} for rows in (before, after))
    both = [k for k in other if k in one]
    changed = [k for k in both if one[k] != other[k]]
    assert (tally.rows["b"], tally.rows["a"]) == (len(before), len(after))
    assert tally.paired == len(both)
    assert tally.changed_rows == len(changed)
    for i, name in enumerate(SCHEMA):
        assert tally.changed[i] == sum(dict(one[k])[name] != dict(other[k])[name] for k in both)
    shown = {side: sample.rows for side, sample in tally.unpaired.items()}
    for side, rows, missing in (("b", before, other), ("a", after, one)):
        found = [] if shown[side] is None else pairs.rows(shown[side], side)["k"].to_list()  # type: ignore[arg-type, index]
        assert found == [row["k"] for row in rows if row["k"] not in missing]
    samples = tally.samples.rows
    assert ([] if samples is None else pairs.rows(samples, "a")["k"].to_list()) == changed
    assert list(folder.iterdir()) == []


@given(
    before=tables(unique=False), after=tables(unique=False), batch=st.integers(1, 5), buckets=st.sampled_from([1, 3])
)
@examples(100)
def test_whole_rows_are_counted_with_duplicates(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any], batch: int, buckets: int
) -> None:
    after = after + before[::2]
    tally, _, pairs = compare(
        tmp_path_factory.mktemp("diff"), frame(before), frame(after), [], batch=batch, buckets=buckets
    )
    one, other = (Counter(plain(row) for row in rows) for rows in (before, after))
    assert tally.paired == (one & other).total()
    for side, wanted in (("b", one - other), ("a", other - one)):
        rows = tally.unpaired[side].rows  # type: ignore[index]
        found = [] if rows is None else pairs.rows(rows, side).to_dicts()  # type: ignore[arg-type]
        assert Counter(map(plain, found)) == wanted


@given(keys=st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=12), batch=st.integers(1, 4))
@examples(60)
def test_repeated_keys_are_found(tmp_path_factory: pytest.TempPathFactory, keys: list[int | None], batch: int) -> None:
    """Also if the two rows are far apart; keys that only rise need no second look."""
    rows = pl.DataFrame({"k": pl.Series(keys, dtype=pl.Int64)})
    other = pl.DataFrame({"k": pl.Series([0, 1], dtype=pl.Int64)})
    pairs = Pairs(rows.schema, other.schema, ["k"])
    repeated = len(keys) - len(set(keys))
    try:
        _, comparison, _ = compare(tmp_path_factory.mktemp("diff"), rows, other, ["k"], batch=batch)
    except Repeated:
        assert repeated
    else:
        assert not (comparison.ascending["b"] and repeated)
    if repeated:
        with pytest.raises(errors.Conflict, match=rf"^{repeated} rows of version 3 repeat the key \(k\)"):
            reject_repeated(rows.lazy(), pairs, "b", 3, rows.height, 1)
    else:
        reject_repeated(rows.lazy(), pairs, "b", 3, rows.height, 1)


def test_the_first_rows_are_shown(tmp_path: Path) -> None:
    before = pl.DataFrame({"k": list(range(20)), "v": [0] * 20})
    after = pl.DataFrame({"k": list(range(20)), "v": [1] * 20})
    tally, _, _ = compare(tmp_path, before, after, ["k"], limit=2)
    assert tally.samples.rows is not None
    assert tally.samples.rows["a0"].to_list() == [0, 1]
    assert tally.changed_rows == 20
    none, _, _ = compare(tmp_path, before, after, ["k"], limit=0)
    assert none.samples.rows is None


def test_columns_of_one_version_are_not_compared(tmp_path: Path) -> None:
    before = pl.DataFrame({"k": [1, 2], "gone": ["a", "b"], "n": [1, 2]})
    after = pl.DataFrame({"n": [1.0, 2.5], "k": [1, 2], "new": [True, None]})
    tally, _, pairs = compare(tmp_path, before, after, ["k"])
    assert [pair.name for pair in pairs.columns] == ["n", "k", "new", "gone"]
    assert (tally.paired, tally.changed_rows, tally.changed) == (2, 1, Counter({0: 1}))
    whole, _, _ = compare(tmp_path, before, after, [])
    assert whole.paired == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [(pl.Int32(), pl.Int64()), (pl.String(), pl.Categorical()), (pl.Datetime("ms"), pl.Datetime("ns"))], ids=str,
)  # fmt: skip
def test_keys_of_two_types_match_by_value(tmp_path: Path, one: pl.DataType, other: pl.DataType) -> None:
    values = pl.Series([1, 2, 3]).cast(pl.String) if isinstance(one, pl.String) else pl.Series([1, 2, 3])
    if isinstance(one, pl.Datetime):
        values = values.cast(pl.Datetime("ms"))
    before, after = pl.DataFrame({"k": values.cast(one)}), pl.DataFrame({"k": values.cast(other)}).tail(2)
    tally, _, _ = compare(tmp_path, before, after, ["k"], buckets=2)
    assert (tally.paired, tally.changed_rows) == (2, 0)


def test_keys_that_cannot_be_matched_are_refused() -> None:
    before, after = pl.Schema({"k": pl.Int64(), "gone": pl.Int8()}), pl.Schema({"k": pl.String(), "new": pl.Int8()})
    with pytest.raises(errors.Invalid, match="no column 'kk'; did you mean 'k'"):
        Pairs(before, after, ["kk"])
    with pytest.raises(errors.Invalid, match="only the earlier version has the column 'gone'"):
        Pairs(before, after, ["gone"])
    with pytest.raises(errors.Invalid, match="int64 before and string after"):
        Pairs(before, after, ["k"])
