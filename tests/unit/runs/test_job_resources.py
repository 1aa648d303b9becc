"""The versions that a run reads: found once before it starts, one of each pipeline; errors name the setting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from service.catalog.history import History
from service.files.layout import Layout
from service.jobs.messages import StoredParts
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.version import Column, Version
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.steps.storage import File
from tests.registry import REGISTRY, a_pipeline


class Moving:
    """A history in which the newest version is another one each time that somebody asks."""

    def __init__(self) -> None:
        self.newest = 4

    def version_of(self, name: str, number: int | None = None) -> Version | None:
        if name != "customers" or (number or 1) > 9:
            return None
        self.newest += 1
        return Version(
            pipeline=name, version=number or self.newest, run_id="r", revision=1, table=name, rows=7, bytes=1,
            columns=[Column("id", "Int64")], files=[File("part-0.parquet", 1, 7, "")], sources=[],
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip


class Unchecked(Integrity):
    """The files of these versions do not exist."""

    def require(self, version: Version, files: Iterable[File]) -> None:
        pass


def found(rules: list[dict[str, Any]], *collectors: dict[str, Any]) -> dict[str, StoredParts]:
    processors = [{"type": "cleaner"}, {"type": "validator", "config": {"rules": rules}}]
    pipeline = a_pipeline(processors=processors, **({"collectors": list(collectors)} if collectors else {}))
    layout = Layout(Path("/data"))
    resources = JobResources(Settings(), layout, cast(History, Moving()), REGISTRY, FixedClock(), {}, Unchecked(layout))
    return resources.stored(pipeline, None)


def rule(column: str = "a", **more: Any) -> dict[str, Any]:
    return {"column": column, "check": "foreign_key", "pipeline": "customers", "to": "id", **more}


def test_all_steps_see_one_version_of_a_pipeline() -> None:
    stored = found([rule(), rule("b"), rule("c", version=2)], {"type": "pipeline", "name": "customers"})
    assert {name: s.version for name, s in stored.items()} == {
        "collectors[0].name": 5,
        "processors[1].config.rules[0].pipeline": 5,
        "processors[1].config.rules[1].pipeline": 5,
        "processors[1].config.rules[2].pipeline": 2,
    }
    parts = ("/data/warehouse/customers/v000005/part-0.parquet",)
    assert stored["collectors[0].name"] == StoredParts(pipeline="customers", version=5, parts=parts, rows=7)


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        (
            rule(pipeline="clients"),
            "pipeline",
            "no stored version of a pipeline 'clients'; execute that pipeline first",
        ),
        (rule(version=10), "pipeline", "no version 10 of a pipeline 'customers'"),
        (rule(to="idd"), "to", "customers@5 has no column 'idd'; did you mean 'id'?"),
    ],
)
def test_what_is_not_there_names_its_setting(wrong: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(errors.Permanent) as caught:
        found([{"expression": "a"}, wrong])
    assert caught.value.details["field"] == f"processors[1].config.rules[1].{field}"
    assert said in caught.value.message
