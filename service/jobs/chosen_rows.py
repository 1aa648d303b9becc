"""The rows of a quarantine that a replay was asked for, with the values that a person mended, apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from service.files import quarantine
from service.jobs import messages
from service.kit import errors
from service.model.run import ReplayedRow
from service.values import from_json

_FOLDER: Final = ".chosen"
_PLACE: Final = {"_step": "step", "_source": "source", "_file": "file", "_line": "line", "_row": "row"}
_SCHEMA: Final = "ARROW:schema"  # which Polars writes itself
_TEXT: Final = "_text"  # a malformed row has nothing else that could be mended


def split(folder: Path, order: messages.Replay) -> tuple[list[Path], list[Path]]:
    """The quarantine files with the rows to try, and those with the rows that stay.

    Raises ``errors.Permanent`` where a row is not there, is there twice, or has values that do not fit.
    """
    files = [Path(file) for file in order.files]
    if not order.rows:
        return files, []
    _check_different(order.rows)
    own = folder / _FOLDER
    own.mkdir()
    found = {file: _found(file, order.rows) for file in files}
    for number in range(len(order.rows)):
        _check_once(number, order, sum(len(places[number]) for places in found.values()))
    chosen: list[Path] = []
    left: list[Path] = []
    for place, (file, places) in enumerate(found.items()):
        wanted = {at[0]: number for number, at in enumerate(places) if at}
        rows = pl.read_parquet(file, glob=False).with_row_index("index")
        taken, others = (rows.filter(pl.col("index").is_in([*wanted]) == there) for there in (True, False))
        if len(taken):
            mended = [_mended(wanted[row["index"][0]], order, row.drop("index")) for row in taken.iter_slices(1)]
            chosen.append(_written(pl.concat(mended), own / f"{place}-chosen.parquet", file))
        if len(others):
            left.append(_written(others.drop("index"), own / f"{place}-left.parquet", file))
    return chosen, left


def _found(file: Path, rows: Sequence[ReplayedRow]) -> list[list[int]]:
    """For each of ``rows`` its places in ``file``."""
    known: dict[tuple[object, ...], list[int]] = {}
    for place, key in enumerate(pl.read_parquet(file, columns=[*_PLACE], glob=False).select(*_PLACE).rows()):
        known.setdefault(key, []).append(place)
    return [known.get(_place(row), []) for row in rows]


def _check_different(rows: Sequence[ReplayedRow]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows):
        first = seen.setdefault(_place(row), number)
        if first != number:
            raise _wrong(number, f"this is the row of rows[{first}]")


def _place(row: ReplayedRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in _PLACE.values())


def _check_once(number: int, order: messages.Replay, times: int) -> None:
    if times == 1:
        return
    what = "is not there" if not times else f"is there {times} times; replay all rows, or execute the pipeline again"
    raise _wrong(number, f"in the quarantine of version {order.version} this row {what}")


def _mended(number: int, order: messages.Replay, row: pl.DataFrame) -> pl.DataFrame:
    values = order.rows[number].values
    allowed = [name for name in row.columns if name not in quarantine.LAYOUT]
    if row[_TEXT][0] is not None:
        allowed = [_TEXT]
    for name in values:
        if name not in allowed:
            raise _wrong(number, f"no value '{name}' to mend{errors.did_you_mean(name, allowed)}")
    if not values:
        return row
    try:
        typed = from_json.table([values], {name: row.schema[name] for name in values})
    except errors.Invalid as error:
        raise _wrong(number, error.message) from error
    return row.with_columns(typed[name] for name in values)


def _wrong(number: int, what: str) -> errors.Permanent:
    return errors.Permanent(f"rows[{number}]: {what}", step="replay", field=f"rows[{number}]")


def _written(rows: pl.DataFrame, target: Path, origin: Path) -> Path:
    """The rows in a file of their own, with what their collector noted in ``origin``."""
    notes = {name: text for name, text in pl.read_parquet_metadata(origin).items() if name != _SCHEMA}
    rows.write_parquet(target, metadata=notes)
    return target
