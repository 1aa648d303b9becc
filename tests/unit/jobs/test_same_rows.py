"""The law of serving: a record that equals a row of the source comes out as that row was stored, bit by bit."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from service.kit import errors
from tests.examples import examples
from tests.unit.jobs.walking import cleaner, made, records, transformer

NUMBERS = st.one_of(st.none(), st.just(float("nan")), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))
WORDS = st.one_of(st.none(), st.sampled_from(["a", "b", " a", "ü x", "", "-", "7", "1.5", "2024-02-29"]))
WHOLE = st.one_of(st.none(), st.integers(-5, 5), st.just(2**53 + 1))
DAYS = st.one_of(st.none(), st.dates(dt.date(1960, 1, 1), dt.date(2030, 12, 31)))
TIMES = st.one_of(st.none(), st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2030, 1, 1)))
MONEY = st.one_of(st.none(), st.decimals(-999, 999, places=2))
SCHEMA = pl.Schema(
    {
        "f": pl.Float64(),
        "i": pl.Int64(),
        "s": pl.String(),
        "w": pl.String(),
        "d": pl.Date(),
        "t": pl.Datetime("us"),
        "m": pl.Decimal(10, 2),
        "b": pl.Boolean(),
        "x": pl.Float32(),
    }
)
ROWS = st.lists(
    st.tuples(NUMBERS, WHOLE, WORDS, WORDS, DAYS, TIMES, MONEY, st.sampled_from([None, True, False]),
              st.one_of(st.none(), st.floats(-10, 10, width=32))),
    max_size=12,
)  # fmt: skip

FILLS = st.fixed_dictionaries(
    {},
    optional={
        "f": st.one_of(st.just(1.5), _how := st.sampled_from(["mean", "median", "mode", "min", "max", "zero"]).map(
            lambda s: {"strategy": s})),
        "i": st.one_of(st.just(7), _how),
        "s": st.one_of(st.just("?"), st.sampled_from(["mode", "min", "max"]).map(lambda s: {"strategy": s})),
        "d": st.one_of(st.just("2024-01-01"), st.sampled_from(["mode", "median", "max"]).map(
            lambda s: {"strategy": s})),
        "t": st.sampled_from(["mode", "median", "min"]).map(lambda s: {"strategy": s}),
        "m": _how,
        "x": _how,
    },
)  # fmt: skip
OUTLIERS = st.fixed_dictionaries(
    {"method": st.sampled_from(["iqr", "zscore", "quantile"]), "action": st.sampled_from(["clip", "null", "drop"])}
).map(lambda o: {**o, "factor": 0.2 if o["method"] == "quantile" else 1.0})
CLEANERS = st.fixed_dictionaries(
    {},
    optional={
        "strip_strings": st.just(True),
        "null_values": st.just(["", "-"]),
        "replace": st.just({"s": {"a": "z", "7": None}, "i": {"1": 11}}),
        "cast": st.fixed_dictionaries({}, optional={
            "w": st.sampled_from(["float64", "int64", "date", {"type": "datetime", "format": ["%Y-%m-%d"]}]),
            "s": st.just("categorical"),
            "i": st.sampled_from(["int8", "float64", "string"]),
            "m": st.just("float64"),
        }),
        "filter": st.sampled_from(["f > 0 or f is null", "s <> 'b' or s is null", "b"]),
        "drop_na": st.sampled_from([["s"], {"columns": ["f", "i"], "how": "all"}]),
        "fill_na": FILLS,
        "outliers": st.dictionaries(st.sampled_from(["f", "x"]), OUTLIERS, max_size=2),
    },
)  # fmt: skip
SCALES = st.sampled_from(["standard", "minmax", "robust", "maxabs", "log1p"])
BINS = st.sampled_from(
    [
        {"method": "quantile", "bins": 3},
        {"method": "uniform", "bins": 4},
        {"method": "edges", "edges": [-1, 0, 2], "labels": ["low", "high"]},
    ]
)
ENCODINGS = st.one_of(
    st.sampled_from(["onehot", "ordinal", "frequency", "binary"]),
    st.fixed_dictionaries({"method": st.sampled_from(["onehot", "ordinal", "binary", "frequency"])}, optional={
        "handle_unknown": st.sampled_from(["null", "other"]), "max_categories": st.integers(1, 3)}),
    st.just({"method": "hash", "buckets": 5}),
    st.just({"method": "target", "target": "y"}),
    st.just({"method": "target", "target": "y", "smoothing": 3.0}),
)  # fmt: skip
TRANSFORMERS = st.fixed_dictionaries(
    {"derive": st.just({"y": "coalesce(id, 0) * 1.25", "u": "upper(w2)"})},
    optional={
        "datetime": st.just({"t": {"parts": ["year", "week", "hour", "epoch"], "cyclical": ["month", "hour"]}}),
        "bin": st.dictionaries(st.sampled_from(["i2", "f2"]), BINS, max_size=2),
        "normalize": st.dictionaries(st.sampled_from(["f", "x", "i3", "m"]), SCALES, max_size=4),
        "encode": st.dictionaries(st.sampled_from(["s", "b", "d"]), ENCODINGS, max_size=3),
        "text": st.just({"w2": ["length", "words", "lower"]}),
        "split": st.just({"key": ["id"], "shares": {"train": 0.5, "test": 0.5}}),
    },
)
SQL = st.sampled_from([
    None, "SELECT * FROM input", "SELECT *, f2 + 1 AS g FROM input WHERE id <> 3 ORDER BY w2",
])  # fmt: skip
RULES = st.sampled_from([None, {"column": "id", "check": "in_range", "max": 6}])


@pytest.mark.slow
@examples(70, suppress=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=ROWS, cleaning=CLEANERS, sql=SQL, rule=RULES, transforming=TRANSFORMERS, twice=st.booleans())
def test_a_row_of_the_source_comes_out_as_it_was_stored(
    rows: list[tuple[Any, ...]],
    cleaning: dict[str, Any],
    sql: str | None,
    rule: dict[str, Any] | None,
    transforming: dict[str, Any],
    twice: bool,
) -> None:
    source = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_row_index("id").with_columns(pl.col("id").cast(int))
    copies = {"i2": "i", "i3": "i", "f2": "f", "w2": "w"}
    source = source.with_columns(pl.col(old).alias(new) for new, old in copies.items())
    steps = [cleaner(**cleaning)]
    if sql is not None:
        steps.append({"type": "sql", "config": {"query": sql}})
    if rule is not None:
        steps.append({"type": "validator", "config": {"rules": [rule], "on_fail": "drop"}})
    steps += [{"type": "analyzer", "config": {}}, transformer(**transforming)]
    if twice:  # fitted by the training rows alone, where there is a split
        steps.append(transformer(normalize={"id": "standard"}, sort=["-id"]) if "split" in transforming else
                     transformer(normalize={"y": "robust"}))  # fmt: skip
    try:
        version = made(source, *steps)
    except errors.Permanent:
        return  # these settings do not go with this data, which the run says: there is no version to apply
    done = version.apply(records(source))
    if twice:  # step by step, all is as in one plan
        apart = version.apply(records(source), at_once=False)
        assert_frame_equal(apart.data, done.data, check_exact=True, categorical_as_str=True)
        assert (apart.places.to_list(), apart.dropped) == (done.places.to_list(), done.dropped)
    key = "text"  # the id may have been scaled, so that the place of the record is what says who is who
    stored = version.stored
    applied = done.data.with_columns(done.places.alias(key))
    assert applied.drop(key).schema == stored.schema
    assert sorted([*done.places, *(d["index"] for d in done.dropped)]) == list(range(source.height))
    if twice and "split" in transforming:
        stored, applied = stored.sort("id"), applied.sort("id")
    else:
        order = {place: n for n, place in enumerate(done.places)}
        ids = stored["id"].to_list()
        assert Counter(ids) == Counter(done.places)
        applied = applied[[order[i] for i in ids]]
    assert_frame_equal(applied.drop(key), stored, check_exact=True, categorical_as_str=True)
    for place in range(min(source.height, 3)):  # each of them alone is as all of them together
        alone = version.apply(records(source[place]))
        among = done.data.filter(done.places == place)
        assert_frame_equal(alone.data, among, check_exact=True, categorical_as_str=True)


FITS = [
    cleaner(fill_na={"v": {"strategy": "mean"}}),
    cleaner(outliers={"v": {"method": "iqr"}}),
    *(transformer(normalize={"v": m}) for m in ("standard", "minmax", "robust", "maxabs")),
    *(transformer(bin={"v": {"method": m}}) for m in ("quantile", "uniform")),
    *(transformer(encode={"c": m}) for m in ("onehot", "ordinal", "frequency", "binary")),
    transformer(encode={"c": {"method": "target", "target": "v"}}),
]


@pytest.mark.parametrize("step", FITS, ids=str)
def test_nothing_is_fitted_to_what_is_applied(step: dict[str, Any]) -> None:
    """A record that is far from all of the version's rows is treated by their numbers, not by its own."""
    source = pl.DataFrame({"v": [1.0, 2.0, None, 4.0], "c": ["x", "y", "y", "x"]})
    version = made(source, step)
    strange = {"v": 1000.0, "c": "new"}
    alone = version.apply([strange]).data
    among = version.apply([*records(source), strange]).data
    assert_frame_equal(among.tail(1), alone, check_exact=True)
    assert_frame_equal(among.head(4), version.stored, check_exact=True)
