"""Which rows of an older quarantine have a newer stored row with their key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.jobs import messages, newer_rows

OLD = pl.DataFrame({"id": [1, 2, 3], "v": [[1], [2], None], "f": [0.5, float("nan"), None]})
NEW = OLD.vstack(pl.DataFrame({"id": [4], "v": [[4]], "f": [4.0]}))


def stored(folder: Path, version: int, rows: pl.DataFrame) -> messages.StoredParts:
    path = folder / f"v{version}.parquet"
    rows.write_parquet(path)
    return messages.StoredParts(pipeline="p", version=version, parts=(str(path),), rows=rows.height)


def newer(folder: Path, base: pl.DataFrame, origin: pl.DataFrame | None, rows: pl.DataFrame, *key: str) -> list[Any]:
    """The keys that stay in quarantine; the others are the rows that may be stored."""
    order = messages.Replay(
        version=1, files=(), before=[], base=stored(folder, 2, base), fitted={}, base_before=[],
        origin=stored(folder, 1, origin) if origin is not None else None,
    )  # fmt: skip
    frame, rejected = newer_rows.without_newer(
        PolarsFrame(rows.lazy(), folder, expensive=False), order, key, folder / "quarantine.parquet"
    )
    assert isinstance(frame, PolarsFrame)
    kept = frame.lazy.collect()
    if rejected is None:
        assert kept.equals(rows)
        return []
    apart = pl.read_parquet(folder / "quarantine.parquet")
    assert (kept.height, apart.height) == (rows.height - rejected.rows, rejected.rows)
    assert not kept.select(key).join(apart.select(key), on=list(key), how="semi").height
    return [row if len(key) > 1 else row[0] for row in apart.select(key).rows()]


@pytest.mark.parametrize(
    ("base", "origin", "refused"),
    [
        (OLD, OLD, []),  # also lists, NaN and nulls are equal
        (NEW, OLD, [4]),
        (NEW.with_columns(v=pl.when(pl.col("id") == 2).then(pl.lit([9])).otherwise("v")), OLD, [2, 4]),
        (NEW, None, [1, 2, 3, 4]),
        (OLD.with_columns(pl.col("id").cast(pl.Float64)), OLD, []),  # a wider type is no newer row
        (OLD.with_columns(new=pl.lit(None, pl.String)), OLD, []),
        (OLD.with_columns(new=pl.when(pl.col("id") == 3).then(pl.lit("x"))), OLD, [3]),
        (OLD, OLD.with_columns(pl.col("id").cast(pl.String)), [1, 2, 3]),  # another key
        (OLD.with_columns(f=pl.col("id").cast(pl.String)), OLD, [1, 2, 3]),
    ],
)
def test_rows_that_differ_from_those_of_then_are_newer(
    base: pl.DataFrame, origin: pl.DataFrame | None, refused: list[int], tmp_path: Path
) -> None:
    rows = pl.DataFrame({"id": [5, 4, 3, 2, 1], "f": [1.0] * 5}).cast({"id": base.schema["id"]})
    assert sorted(newer(tmp_path, base, origin, rows, "id")) == refused


def test_keys_of_several_columns(tmp_path: Path) -> None:
    old = pl.DataFrame({"a": [1, 1], "b": ["x", "y"]})
    new = old.vstack(pl.DataFrame({"a": [2], "b": ["x"]}))
    rows = pl.DataFrame({"a": [1, 2, 2], "b": ["x", "x", "y"], "c": [1, 2, 3]})
    assert newer(tmp_path, new, old, rows, "a", "b") == [(2, "x")]
    reason = pl.read_parquet(tmp_path / "quarantine.parquet")["_rules"][0][0]
    assert (reason["rule"], reason["column"], reason["value"]) == ("newer_row", None, "2, x")
