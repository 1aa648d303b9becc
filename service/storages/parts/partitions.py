"""Partitions: folders named by the values of columns, as Hive and every reader of Parquet folders have them.

A column whose unit is a month or so gets a folder name of its own (``created_month=2024-03``): readers of such folders
put a column of that name in the place of the file's, which must not be ``created``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from service.kit import errors, lazy
from service.storages.parts import setting_columns
from service.storages.parts.part import MARK, Key
from service.values import dtypes
from service.values.version_mode import PartitionUnit

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

By = Mapping[str, PartitionUnit | None]
MOST: Final = 1_000
"""Partitions of a version."""
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_LONGEST: Final = 255
"""Bytes in a file's name."""
_MEANT: Final = re.compile(r"[^\w .~-]")
"""Characters of a column's name that may have a meaning in a path. Readers decode values, but never names."""
_FORMATS: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}


def check(by: By, schema: pl.Schema, step: str) -> None:
    """Raise ``errors.Permanent`` for columns that cannot name folders."""
    for column, unit in by.items():
        dtype = setting_columns.type_of(column, schema, step, "partition_by")
        day = isinstance(dtype, pl.Date | pl.Datetime)
        if unit is not None and not day:
            raise errors.Permanent(
                f"the column '{column}' is {dtypes.name_of(dtype)}; only dates and datetimes have a {unit}",
                step=step, field="partition_by",
            )  # fmt: skip
        if unit is not None and _name(column, unit) in schema:
            raise errors.Permanent(
                f"the folders of '{column}' by {unit} are named '{_name(column, unit)}', which is a column, too; "
                "rename it", step=step, field="partition_by",
            )  # fmt: skip
        plain = dtype.is_integer() or isinstance(dtype, pl.String | pl.Boolean | pl.Enum | pl.Categorical)
        if not (plain or day):
            raise errors.Permanent(
                f"the column '{column}' is {dtypes.name_of(dtype)}; partitions are named by text, whole numbers, "
                "booleans, dates and datetimes", step=step, field="partition_by",
            )  # fmt: skip


def columns(by: By) -> list[str]:
    """The names of the columns that ``expressions`` make."""
    return [f"{MARK}partition{place}" for place in range(len(by))]


def expressions(by: By) -> list[pl.Expr]:
    """Each row's partition as text, one column for each in ``by``."""
    made = [
        pl.col(name).cast(pl.String) if unit is None else pl.col(name).dt.strftime(_FORMATS[unit])
        for name, unit in by.items()
    ]
    return [value.alias(column) for value, column in zip(made, columns(by), strict=True)]


def folder(by: By, key: Key, step: str) -> str:
    """The folder of a partition. Raises ``errors.Permanent`` for a value that is too long for a file's name."""
    names = [f"{_plain(_name(c, unit))}={_encoded(v)}" for (c, unit), v in zip(by.items(), key, strict=True)]
    for column, name in zip(by, names, strict=True):
        size = len(name.encode())
        if size > _LONGEST:
            raise errors.Permanent(
                f"a value of '{column}' is too long to name a folder ({size} bytes, at most {_LONGEST}); "
                "partition by another column", step=step, field="partition_by",
            )  # fmt: skip
    return "/".join(names)


def key_of(by: By, name: str) -> Key:
    """The partition of a part with this name in its version's folder."""
    values = [piece.partition("=")[2] for piece in name.split("/")[: len(by)]]
    return tuple(None if value == _NULL else unquote(value) for value in values)


def sort_key(by: By, schema: pl.Schema, key: Key) -> tuple[tuple[bool, int, bytes], ...]:
    """What sorts partitions by their values: numbers as numbers, others as text, null last."""
    numeric = [unit is None and schema[column].is_integer() for column, unit in by.items()]
    return tuple(
        (True, 0, b"") if v is None else (False, int(v), b"") if n else (False, 0, v.encode())
        for v, n in zip(key, numeric, strict=True)
    )


def too_many(count: int, step: str) -> errors.Permanent:
    """The error of a version with more than ``MOST`` partitions."""
    return errors.Permanent(
        f"partition_by makes {count} partitions or more; a version has at most {MOST}. Partition by a column with "
        "fewer values, or by month or year", step=step, field="partition_by",
    )  # fmt: skip


def _name(column: str, unit: PartitionUnit | None) -> str:
    return column if unit is None else f"{column}_{unit}"


def _plain(name: str) -> str:
    return _MEANT.sub(lambda found: quote(found[0], safe=""), name)


def _encoded(value: str | None) -> str:
    if value is None:
        return _NULL
    return quote(value, safe="") if value != _NULL else value.replace("_", "%5F")
