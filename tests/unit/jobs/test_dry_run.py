"""What is certain before anything is read, and what is not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.jobs import dry_run
from service.jobs.dry_run import DryRun
from service.jobs.messages import Grants
from service.kit import errors
from service.steps.collector import Declared
from service.steps.frame import Frame
from tests.registry import a_pipeline

SCHEMA = pl.Schema({"id": pl.Int64, "city": pl.String, "price": pl.Float64})
MISSPELT = {"type": "cleaner", "config": {"cast": {"prise": "int64"}}}
UNFIT = {"type": "transformer", "config": {"normalize": {"city": "standard"}}}
ONEHOT = {"type": "transformer", "config": {"encode": {"city": "onehot"}}}
KNOWN = {"type": "transformer", "config": {"encode": {"city": {"method": "onehot", "categories": ["Bern"]}}}}
DOUBLED = {"type": "doubled", "config": {"column": "id"}}


def rehearse(tmp_path: Path, *processors: dict[str, Any], sources: tuple[Declared, ...] = (), **more: Any) -> DryRun:
    sources = sources or (Declared(SCHEMA),)
    collectors = [{"type": "counted", "rows": 1}] * len(sources)
    pipeline = a_pipeline(collectors=collectors, processors=list(processors), **more)
    return dry_run.dry_run(pipeline, sources, Grants(folder=str(tmp_path), memory_bytes=0))


@pytest.mark.parametrize(
    ("source", "processors", "certain"),
    [
        (Declared(SCHEMA), [MISSPELT], True),
        (Declared(SCHEMA), [UNFIT], True),
        (Declared(SCHEMA, closed=False), [MISSPELT], False),
        (Declared(SCHEMA, closed=False), [UNFIT], False),
        (Declared(SCHEMA, guessed=frozenset({"city"})), [MISSPELT], True),
        (Declared(SCHEMA, guessed=frozenset({"city"})), [UNFIT], False),
        (Declared(SCHEMA), [ONEHOT, MISSPELT], False),
        (Declared(SCHEMA), [KNOWN, MISSPELT], True),
        (Declared(SCHEMA), [DOUBLED, MISSPELT], False),
        (Declared(SCHEMA), [{"type": "sql", "config": {"query": "SELECT prise FROM input"}}], True),
        (Declared(SCHEMA), [{"type": "sql", "config": {"query": "SELECT sum(city) FROM input"}}], True),
        (Declared(SCHEMA), [{"type": "analyzer", "config": {"columns": ["prise"]}}], True),
        (Declared(SCHEMA), [{"type": "validator", "config": {"rules": [{"expression": "prise > 0"}]}}], True),
        (Declared(SCHEMA), [{"type": "transformer", "config": {"derive": {"x": "prise + 1"}}}], True),
    ],
)
def test_what_ends_a_run_is_certain(
    tmp_path: Path, source: Declared, processors: list[dict[str, Any]], certain: bool
) -> None:
    found = rehearse(tmp_path, *processors, sources=(source,))
    assert found.error is not None
    assert found.certain is certain
    assert found.error.details["step"] == f"processors[{len(processors) - 1}]"
    assert found.error.details["field"].startswith("config.")
    if "prise" in str(processors):
        assert "did you mean 'price'?" in found.error.message


def test_a_third_party_processor_that_needs_rows_ends_nothing(tmp_path: Path) -> None:
    found = rehearse(tmp_path, {"type": "doubled", "config": {"column": "nothing"}})
    assert found.error is not None
    assert not found.certain


def test_what_depends_on_rows_is_not_judged(tmp_path: Path) -> None:
    rules = [{"row_count": {"min": 5}}, {"column": "id", "check": "unique"}]
    config = {"rules": rules, "on_fail": "quarantine", "max_rejected_share": 0.0}
    found = rehearse(tmp_path, {"type": "validator", "config": config}, {"type": "analyzer"}, ONEHOT)
    assert found.error is None
    judged = ["per_group", "measure", "stage"]
    assert [p.operations for p in found.steps] == [judged, ["measure"], ["measure"]]
    assert found.steps[-1].dynamic_columns == ["processors[2].config.encode.city"]
    assert list(tmp_path.iterdir()) == []


def test_sources_are_combined_as_a_run_does(tmp_path: Path) -> None:
    other = Declared(pl.Schema({"id": pl.Int64, "who": pl.String}))
    found = rehearse(tmp_path, sources=(Declared(SCHEMA), other))
    assert found.columns == pl.Schema([*SCHEMA.items(), ("who", pl.String)])
    join = {"how": "join", "on": ["id"]}
    found = rehearse(tmp_path, MISSPELT, sources=(Declared(SCHEMA), other), combine=join)
    assert (found.certain, found.columns) == (True, pl.Schema([*SCHEMA.items(), ("who", pl.String)]))
    found = rehearse(tmp_path, sources=(Declared(SCHEMA), other), combine={"how": "join", "on": ["city"]})
    assert found.error is not None
    assert (found.certain, found.error.details["field"]) == (True, "combine.on")
    open_ = Declared(SCHEMA, closed=False)
    assert not rehearse(tmp_path, MISSPELT, sources=(open_, other)).certain


def test_a_check_raises_only_what_is_certain(tmp_path: Path) -> None:
    grants = Grants(folder=str(tmp_path), memory_bytes=0)
    pipeline = a_pipeline(processors=[MISSPELT])
    with pytest.raises(errors.Permanent, match="no column 'prise'"):
        dry_run.check(pipeline, [Declared(SCHEMA)], grants)
    dry_run.check(pipeline, [Declared(SCHEMA, closed=False)], grants)


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_a_step_that_cannot_be_sent_to_executors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    lock = threading.Lock()

    def held(values: pl.Series) -> pl.Series:
        with lock:
            return values

    def apply(self: object, frame: Frame, ctx: object) -> Frame:
        return frame.rows(lambda lf: lf.with_columns(pl.col("id").map_batches(held)))

    kind = type(a_pipeline(processors=[DOUBLED]).processors[0])
    monkeypatch.setattr(kind, "apply", apply)
    dry = rehearse(tmp_path, {"type": "cleaner", "config": {}}, DOUBLED, execution={"engine": engine})
    if engine == "polars":
        assert dry.error is None
        return
    assert dry.error is not None
    assert dry.certain
    assert dry.error.details == {"step": "processors[1]", "field": "processors[1].type"}
    assert "a function of this step cannot be sent to the executors" in dry.error.message
