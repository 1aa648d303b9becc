"""Combining: columns by name, types widened, and clear words where they cannot be."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.jobs import combine as combining
from service.kit import errors
from service.steps.frame import Frame
from service.values import polars_errors
from tests.registry import a_pipeline


def made(
    folder: Path, sources: list[pl.DataFrame], combine: dict[str, Any] | None = None
) -> tuple[pl.DataFrame, list[str]]:
    collectors = [{"type": "csv", "file_path": "a.csv", "id": f"c{i}"} for i in range(len(sources))]
    more = {} if combine is None else {"combine": {"how": "join", **combine}}
    told: list[str] = []
    frames: list[Frame] = [PolarsFrame(source.lazy(), folder) for source in sources]
    pipeline = a_pipeline(collectors=collectors, **more)
    found = combining.combined(pipeline, frames, lambda code, message, **details: told.append(message))
    assert isinstance(found, PolarsFrame)
    return found.lazy.collect(), told


def of(values: list[Any], dtype: Any = None) -> pl.DataFrame:
    return pl.DataFrame({"v": pl.Series(values, dtype=dtype)})


@pytest.mark.parametrize(
    ("sources", "dtype", "wanted"),
    [
        ([of([1], pl.Int8), of([300], pl.Int64)], pl.Int64, [1, 300]),
        ([of([1]), of([2.5])], pl.Float64, [1.0, 2.5]),
        ([of([Decimal("1.10")]), of([Decimal("2.345")])], pl.Decimal(38, 3), [Decimal("1.100"), Decimal("2.345")]),
        ([of([[1]]), of([[2.5]])], pl.List(pl.Float64), [[1.0], [2.5]]),
        ([of([dt.date(2024, 1, 1)]), of([dt.datetime(2024, 1, 2, 3)])], pl.Datetime("us"),
         [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2, 3)]),
    ],
)  # fmt: skip
def test_types_are_widened(sources: list[pl.DataFrame], dtype: Any, wanted: list[Any], tmp_path: Path) -> None:
    frame, told = made(tmp_path, sources)
    assert (frame.schema["v"], frame["v"].to_list(), told) == (dtype, wanted, [])


def test_what_becomes_text_is_said(tmp_path: Path) -> None:
    frame, told = made(tmp_path, [of([1]), of(["x"])])
    assert frame["v"].to_list() == ["1", "x"]
    assert told == ["column 'v' is int64 in c0 and string in c1; it is kept as text"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([of([1], pl.Int8), of([2], pl.UInt64)], "column 'v' is int8 in c0 and uint64 in c1, and no type holds both"),
        ([of([[1]]), of([1])], "column 'v' is list(int64) in c0 and int64 in c1, and no type holds both"),
        ([of([1]), of([{"a": 2}])], "column 'v' is int64 in c0 and struct(a: int64) in c1, and no type holds both"),
        ([of([None], pl.Datetime("us", "UTC")), of([None], pl.Datetime("us", "Europe/Berlin"))],
         "column 'v' is datetime[UTC] in c0 and datetime[Europe/Berlin] in c1"),
        ([of(["a"], pl.Enum(["a"])), of(["b"], pl.Enum(["b"]))], "column 'v' is enum(a) in c0 and enum(b) in c1"),
    ],
)  # fmt: skip
def test_what_cannot_be_widened_is_named(sources: list[pl.DataFrame], said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="cast in a separate pipeline") as caught:
        made(tmp_path, sources)
    assert caught.value.message.startswith(said)
    assert caught.value.details["field"] == "combine"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (of([1, 2**53 + 1]), of([0.5])),
        (of([[2**53 + 1]]), of([[0.5]])),
        (of([Decimal(10) ** 37], pl.Decimal(38, 0)), of([Decimal("0.123456789")], pl.Decimal(38, 9))),
        (of([Decimal("0.12345678901234567890")], pl.Decimal(21, 20)), of([0.5])),
    ],
    ids=["int64", "list", "decimal", "decimal beside float"],
)
def test_numbers_are_never_rounded(one: pl.DataFrame, other: pl.DataFrame, tmp_path: Path) -> None:
    for sources in ([one, other], [other, one]):
        with pytest.raises(pl.exceptions.PolarsError) as caught:
            made(tmp_path, sources)
        error = polars_errors.translate(caught.value, None)
        assert "without loss (in c" in error.message
        assert (error.details["step"], error.details["field"]) == ("combine", "combine")


def keyed(key: Any, dtype: Any = None, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"k": pl.Series([key], dtype=dtype), **{n: [v] for n, v in more.items()}})


def test_keys_of_whole_numbers_are_widened(tmp_path: Path) -> None:
    frame, _ = made(tmp_path, [keyed(1, pl.Int8, a="x"), keyed(1, pl.Int64, b="y")], {"on": ["k"], "type": "inner"})
    assert frame.to_dicts() == [{"k": 1, "a": "x", "b": "y"}]


def test_columns_of_one_name_stay_apart(tmp_path: Path) -> None:
    frame, _ = made(tmp_path, [keyed(1, v=1), keyed(1, v=2), keyed(1, v=3)], {"on": ["k"], "type": "left"})
    assert frame.to_dicts() == [{"k": 1, "v": 1, "v_right": 2, "v_c2": 3}]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (keyed("1"), "column 'k' is int64 in c0 and string in c1, and keys are compared in one type"),
        (keyed(1.0), "column 'k' is int64 in c0 and float64 in c1, and keys are compared in one type"),
        (pl.DataFrame({"kk": [1]}), "the source c1 has no column 'k' to join on; did you mean 'kk'?"),
        (pl.DataFrame(), "the source c1 has no column 'k' to join on: it has no records"),
    ],
)
def test_keys_that_do_not_go_together(other: pl.DataFrame, said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent) as caught:
        made(tmp_path, [keyed(1), other], {"on": ["k"], "type": "full"})
    assert caught.value.message.startswith(said)


def test_columns_without_values_have_the_type_of_elsewhere(tmp_path: Path) -> None:
    frames = [PolarsFrame(of([None, None], pl.String).lazy(), tmp_path), PolarsFrame(of([[2.5]]).lazy(), tmp_path)]
    first, second = combining.with_known_types(frames, [{"v"}, set()])
    assert first.schema == second.schema == {"v": pl.List(pl.Float64)}
    assert combining.with_known_types(frames[:1], [{"v"}])[0].schema == {"v": pl.String}
