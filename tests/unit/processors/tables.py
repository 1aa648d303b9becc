"""Tables for the reference tests: real ones that ship inside packages, and made ones that are awkward on purpose."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.lib as pa
from sklearn import datasets
from statsmodels.datasets import grunfeld, macrodata

NAN, INF = float("nan"), float("inf")


def _of(frame: pd.DataFrame) -> pl.DataFrame:
    names = {
        str(c): str(c).replace(" ", "_").replace("/", "_").replace("(", "").replace(")", "") for c in frame.columns
    }
    return pl.DataFrame({names[str(c)]: frame[c].to_numpy() for c in frame.columns})


@functools.cache
def real() -> dict[str, pl.DataFrame]:
    """Numbers only."""
    return {
        "iris": _of(datasets.load_iris(as_frame=True).frame),
        "wine": _of(datasets.load_wine(as_frame=True).frame),
        "diabetes": _of(datasets.load_diabetes(as_frame=True).frame),
        "macro": _of(macrodata.load_pandas().data),
    }


@functools.cache
def made() -> dict[str, pl.DataFrame]:
    """One column each, called ``v``."""
    numbers = np.random.default_rng(7)
    values: dict[str, list[float | None]] = {
        "normal": numbers.normal(50, 10, 500).tolist(),
        "tailed": numbers.lognormal(0, 2, 500).tolist(),
        "far from zero": (1e9 + numbers.normal(0, 1, 300)).tolist(),
        "tiny": (numbers.normal(0, 1e-12, 300)).tolist(),
        "with gaps": [
            None if i % 7 == 0 else NAN if i % 11 == 0 else float(v) for i, v in enumerate(numbers.normal(0, 1, 200))
        ],
        "whole": numbers.integers(-5, 5, 100).astype(float).tolist(),
        "constant": [3.5] * 10,
        "one row": [2.5],
        "two rows": [1.0, 2.0],
        "empty": [None, None, NAN],
    }  # fmt: skip
    return {name: pl.DataFrame({"v": pl.Series(v, dtype=pl.Float64)}) for name, v in values.items()}


@functools.cache
def panel() -> pl.DataFrame:
    """Grunfeld's firms by year: text, a time, numbers; with gaps."""
    frame = pl.from_arrow(_arrow(grunfeld.load_pandas().data))
    assert isinstance(frame, pl.DataFrame)
    frame = frame.with_columns(pl.col("year").cast(pl.Int64), row=pl.int_range(pl.len()))
    return frame.with_columns(gaps=pl.when(pl.col("row") % 5 == 2).then(None).otherwise(pl.col("invest"))).sample(
        fraction=1.0, shuffle=True, seed=3
    )


def _arrow(frame: pd.DataFrame) -> object:
    return pa.Table.from_pydict({str(c): pa.array(frame[c].tolist()) for c in frame.columns})


def numbers(frame: pl.DataFrame, column: str) -> np.ndarray:
    """As numpy and scikit-learn want them: missing is NaN."""
    return frame[column].cast(pl.Float64).fill_null(NAN).to_numpy()


def close(have: pl.Series, want: np.ndarray, *, relative: float = 1e-9, absolute: float = 1e-9) -> None:
    """Equal numbers, missing where missing."""
    found = have.cast(pl.Float64).fill_null(NAN).to_numpy()
    np.testing.assert_allclose(found, np.asarray(want, dtype=float), rtol=relative, atol=absolute)
