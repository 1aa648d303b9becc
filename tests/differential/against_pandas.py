"""One random pipeline of processors, as a run and as pandas."""

from __future__ import annotations

import datetime as dt
import warnings
from random import Random
from typing import Any

import pandas as pd
import polars as pl

from tests.differential import reference, tables
from tests.differential.against_duckdb import by_penstock
from tests.differential.comparison import Row, same_rows
from tests.differential.verdict import Verdict

NULLABLE = {"k": "Int64", "i": "Int64", "j": "Int64", "f": "Float64", "s": "string", "c": "string", "b": "boolean"}


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The table with pandas' nullable types; dates and times are objects."""
    return pd.DataFrame({c.name: pd.Series(c.to_list(), dtype=NULLABLE.get(c.name, object)) for c in frame})


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """Rows as Python values, missing ones None."""
    return [tuple(map(_value, row)) for row in frame.itertuples(index=False, name=None)]


def _value(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") and not isinstance(value, dt.date) else value


def pipeline(random: Random) -> Verdict:
    """One to four steps."""
    frame = tables.table(random, plain=True)
    chosen = [random.choice(reference.STEPS)(random) for _ in range(random.randint(0, 3))]
    chosen.append(random.choice(reference.STEPS + reference.LAST)(random))
    wanted = to_pandas(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of types that it will choose otherwise later
        for one in chosen:
            wanted = one.change(wanted)
    found = by_penstock(frame, *(one.step for one in chosen), columns=list(wanted.columns))
    text = str([one.step for one in chosen])
    if isinstance(found, str):
        return Verdict("pipeline", text, f"we fail: {found}", frame)
    rows = rows_of(wanted)
    if same_rows(rows, found, ordered=True):
        return Verdict("pipeline", text, "same", frame)
    pairs = [(w, f) for w, f in zip(rows, found, strict=False) if not same_rows([w], [f], ordered=True)]
    return Verdict("pipeline", text, f"{len(rows)} and {len(found)} rows; wanted and found: {pairs[:2]}", frame)
