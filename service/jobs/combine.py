"""Combine: the frames of several collectors become one.

A union puts rows one after another by the names of their columns and widens types: whole numbers to larger ones and to
floats, dates to datetimes; numbers, dates or booleans beside text become text, with a warning. A join needs keys of one
type.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.steps.frame import Frame
from service.values import common_type, dtypes

Warn = Callable[..., None]
_WIDE = (pl.Int128, pl.UInt128)
"""What whole numbers of both signs become; no file format has these types."""


def combined(pipeline: Pipeline, frames: Sequence[Frame], warn: Warn = lambda *args, **details: None) -> Frame:
    """The frames of all collectors combined by the setting ``combine``.

    Raises ``errors.Permanent`` where a source lacks a column to join on, or no type holds the values of all sources.
    """
    labels = [pipeline.label(i) for i in pipeline.data]
    frames = [frames[i] for i in pipeline.data]
    if len(frames) == 1:
        return frames[0]
    if isinstance(pipeline.combine, Join):
        return _joined(pipeline.combine, frames, labels)
    numbers: dict[str, pl.DataType] = {}
    for name, kinds in _kinds(frames, labels).items():
        united = _common_type(name, kinds)
        if united is None:
            raise _type_conflict(name, kinds, "and no type holds both")
        if united == pl.String and any(kind != pl.String for kind in kinds):
            warn("mixed_types", f"column '{name}' is {_types_by_source(kinds)}; it is kept as text", column=name)
        if any(common_type.could_round(kind, united) for kind in kinds):
            numbers[name] = united
    frames = [_exactly(frame, numbers, label) for frame, label in zip(frames, labels, strict=True)]
    return frames[0].union(frames[1:])


def _exactly(frame: Frame, types: Mapping[str, pl.DataType], label: str) -> Frame:
    """``frame`` with these columns cast to these types; execution fails at a number that would be rounded."""
    why, at = f"in {label}, beside other collectors", ("combine", "combine")
    casts = [common_type.exact(n, frame.schema[n], t, why, at) for n, t in types.items() if n in frame.schema]
    return frame.rows(lambda lf: lf.with_columns(casts)) if casts else frame


def without_columns(what: str) -> errors.Permanent:
    """The error of a step that has nothing to ``what`` (a verb), not even columns."""
    return errors.Permanent(
        f"nothing to {what}: there are no columns, because no source brought a record; give their types under "
        "'schema' to store an empty table"
    )


def with_known_types(frames: Sequence[Frame], blank: Sequence[Collection[str]]) -> list[Frame]:
    """The frames; a column without any value (``blank`` of each) gets the type that it has in another frame."""
    known: dict[str, pl.DataType] = {}
    for frame, names in zip(frames, blank, strict=True):
        known |= {n: d for n, d in frame.schema.items() if n not in names and n not in known}
    return [_with_null_types(f, {n: known[n] for n in b if n in known}) for f, b in zip(frames, blank, strict=True)]


def _with_null_types(frame: Frame, types: Mapping[str, pl.DataType]) -> Frame:
    nulls = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in types.items()]
    return frame.rows(lambda lf: lf.with_columns(nulls)) if nulls else frame


def _kinds(frames: Sequence[Frame], labels: Sequence[str]) -> dict[str, dict[pl.DataType, str]]:
    """The types of each column, each with the first source that has it."""
    found: dict[str, dict[pl.DataType, str]] = {}
    for frame, label in zip(frames, labels, strict=True):
        for name, dtype in frame.schema.items():
            found.setdefault(name, {}).setdefault(dtype, label)
    return found


def _common_type(name: str, kinds: Mapping[pl.DataType, str]) -> pl.DataType | None:
    """The type that holds all these types; None where no type does."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if any(kind.is_decimal() for kind in kinds) and all(kind.is_numeric() for kind in kinds):
        return functools.reduce(common_type.unite, kinds)
    empty = [PolarsFrame(pl.LazyFrame(schema={name: kind}), Path()) for kind in kinds]
    try:
        united = empty[0].union(empty[1:]).schema[name]
    except pl.exceptions.PolarsError:
        return None
    if united.is_nested() and not all(kind.is_nested() or isinstance(kind, pl.Null) for kind in kinds):
        return None  # a number would become a structure with that number in it
    return None if united in _WIDE else united


def _type_conflict(name: str, kinds: Mapping[pl.DataType, str], why: str) -> errors.Permanent:
    return errors.Permanent(
        f"column '{name}' is {_types_by_source(kinds)}, {why}; give it one type there (under schema, or "
        "by a cleaner's cast in a separate pipeline)", step="combine", field="combine",
    )  # fmt: skip


def _types_by_source(kinds: Mapping[pl.DataType, str]) -> str:
    return " and ".join(f"{dtypes.name_of(kind)} in {label}" for kind, label in kinds.items())


def _joined(combine: Join, frames: list[Frame], labels: list[str]) -> Frame:
    for frame, label in zip(frames, labels, strict=True):
        names = frame.schema.names()
        for column in combine.on:
            if column not in names:
                why = errors.did_you_mean(column, names) if names else ": it has no records"
                raise errors.Permanent(
                    f"the source {label} has no column '{column}' to join on{why}", step="combine", field="combine.on"
                )
    frames = _with_keys(combine.on, frames, labels)
    first = frames[0]
    for frame, label in zip(frames[1:], labels[1:], strict=True):
        taken = first.schema
        twice = {
            n: f"{n}_{label}" for n in frame.schema if n not in combine.on and n in taken and f"{n}_right" in taken
        }
        first = first.join(_renamed(frame, twice), combine.on, how=combine.type)
    return first


def _renamed(frame: Frame, names: dict[str, str]) -> Frame:
    return frame.rows(lambda lf: lf.rename(names)) if names else frame


def _with_keys(on: Sequence[str], frames: list[Frame], labels: list[str]) -> list[Frame]:
    """The frames with keys of one type: whole numbers are widened, other types must be equal."""
    wider: dict[str, pl.DataType] = {}
    for name, kinds in _kinds(frames, labels).items():
        if name in on and len(kinds) > 1:
            united = _common_type(name, kinds) if all(kind.is_integer() for kind in kinds) else None
            if united is None:
                raise _type_conflict(name, kinds, "and keys are compared in one type")
            wider[name] = united
    casts = [pl.col(name).cast(dtype) for name, dtype in wider.items()]
    return [frame.rows(lambda lf: lf.with_columns(casts)) for frame in frames] if casts else frames
