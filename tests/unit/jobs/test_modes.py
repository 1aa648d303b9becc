"""Storage modes: after any sequence of runs, a version has the rows that a plain model of its mode has, in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.storages.parts import sizes
from tests.examples import examples
from tests.unit.jobs.versions import Versions

SCHEMA = {"id": pl.Int64, "city": pl.String, "day": pl.Date, "value": pl.Float64}
Row = tuple[int, str | None, date | None, float | None]

_cities = st.sampled_from(["Ulm", "a/b=c %", "", "__HIVE_DEFAULT_PARTITION__", "ä .", None])
_days = st.sampled_from([date(2024, 1, 31), date(2024, 2, 1), date(2023, 2, 1), None])
_rows = st.tuples(st.integers(0, 25), _cities, _days, st.sampled_from([0.5, 1.5, None]))
_batches = st.lists(st.lists(_rows, max_size=30), min_size=1, max_size=5)
_partitions = st.sampled_from(
    [None, ["city"], {"day": "month"}, ["id"], {"city": None, "day": "year"}, ["city", "day"]]
)
_clusters = st.sampled_from([None, "value", ["day", "value"]])


class Model:
    """The rows of a version as Python has them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.rows: list[Row] = []

    def run(self, rows: list[Row]) -> None:
        mode = self.settings["mode"]
        if mode == "merge":
            known = {row[0]: row for row in self.rows}
            known |= {row[0]: row for row in rows}
            present = {row[0] for row in rows}
            removes = self.settings.get("on_delete") == "remove"
            self.rows = [row for key, row in known.items() if not removes or key in present]
        else:
            self.rows = [*(self.rows if mode == "append" else []), *rows]

    def stored(self) -> list[Row]:
        return sorted(self.rows, key=self._place)

    def _place(self, row: Row) -> list[tuple[bool, Any]]:
        values = dict(zip(SCHEMA, row, strict=True))
        by = self.settings.get("partition_by") or {}
        units = by if isinstance(by, dict) else dict.fromkeys(by)
        cluster = self.settings.get("cluster_by") or []
        place: list[tuple[bool, Any]] = []
        for name, unit in units.items():
            value: Any = values[name]
            if isinstance(value, date):
                value = value.isoformat()[: {"year": 4, "month": 7}.get(unit or "", 10)]
            place.append((value is None, "" if value is None else value))
        for name in [cluster] if isinstance(cluster, str) else cluster:
            key: Any = values[name]
            place.append((key is None, 0 if key is None else key))
        return [(missing, value if not missing else _NULL) for missing, value in place]


class _Null:
    def __lt__(self, other: object) -> bool:
        return False


_NULL = _Null()


@st.composite
def _settings(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": draw(st.sampled_from(["replace", "append", "merge"]))}
    if found["mode"] == "merge":
        found["key"] = "id"
        if draw(st.booleans()):
            found |= {"full": True, "on_delete": "remove"}
    partition, cluster = draw(_partitions), draw(_clusters)
    if partition is not None:
        found["partition_by"] = list(partition) if None in _values(partition) else partition
    if cluster is not None:
        found["cluster_by"] = cluster
    return found


def _values(partition: Any) -> list[Any]:
    return list(partition.values()) if isinstance(partition, dict) else []


@contextmanager
def small_parts(size: int) -> Iterator[None]:
    """Parts of a few rows, so that a few rows are many parts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, rows in {"SMALLEST": size, "LARGEST_MERGED": size, "LARGEST": size, "CHUNK": 7, "HELD": 5}.items():
            patch.setattr(sizes, name, rows)
        patch.setattr(sizes, "MOST_SMALL", 3)
        yield


@examples(40, suppress=[HealthCheck.too_slow])
@given(_settings(), _batches, st.integers(2, 9))
def test_a_version_has_the_rows_of_the_model(settings: dict[str, Any], batches: list[list[Row]], size: int) -> None:
    model = Model(settings)
    with tempfile.TemporaryDirectory() as folder, small_parts(size):
        versions = Versions(Path(folder), **settings)
        for rows in batches:
            before = versions.rows().rows() if versions.number else None
            prepared = versions.run(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
            assert prepared is not None, versions.failed
            model.run(rows)
            stored = versions.rows()
            assert stored.schema == pl.Schema(SCHEMA)
            assert stored.rows() == model.stored()
            assert prepared.rows == len(model.rows)
            assert (prepared.unchanged is not None) == (before == stored.rows())
