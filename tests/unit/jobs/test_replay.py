"""A replay inside its child, without one: which rows pass, which stay, in which columns, and what stops it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog

from service.engine import fit_record
from service.engine.polars_frame import PolarsFrame
from service.jobs import collect, messages, process, replay
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.outcome import Outcome
from service.jobs.process import Processed
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.version import Source
from service.steps.report import StepWarning
from tests.registry import REGISTRY

ROWS = "id,price,city\n1,10,Bern\n2,-1,Bern\n3,5,Rom\n4,x\n"
POSITIVE = {"column": "price", "check": "in_range", "min": 0}
KNOWN = {"column": "city", "check": "in_set", "values": ["Bern", "Rome"]}


def validator(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "validator", "config": {"rules": list(rules), "on_fail": "quarantine", **more}}


def cleaner(**config: Any) -> dict[str, Any]:
    return {"type": "cleaner", "config": config}


def transformer(**config: Any) -> dict[str, Any]:
    return {"type": "transformer", "config": config}


BEFORE = [validator(POSITIVE), validator(KNOWN)]


@dataclass(frozen=True)
class Made:
    """A version: the job that made it, and the outcome."""

    job: Job
    outcome: Outcome

    @property
    def folder(self) -> Path:
        return self.job.folder

    @property
    def warnings(self) -> list[StepWarning]:
        return self.job.journal.warnings


class Warehouse:
    """Versions in a folder, each made by a run or a replay without a process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        (folder / "uploads").mkdir()
        (folder / "uploads" / "x.csv").write_text(ROWS)

    def job(self) -> Job:
        self.count += 1
        made = self.folder / f"v{self.count}"
        made.mkdir()
        grants = Grants(folder=str(made), memory_bytes=0, file_roots=(str(self.folder / "uploads"),))
        return Job(grants, structlog.get_logger("test"))

    def pipeline(self, processors: list[Any], **settings: Any) -> Pipeline:
        source = {"type": "csv", "file_path": "x.csv", "on_malformed": "quarantine", **settings}
        return pipelines.decode({"name": "p", "collectors": [source], "processors": processors}, REGISTRY)

    def run(self, processors: list[Any], **settings: Any) -> tuple[Made, pl.DataFrame]:
        pipeline, job = self.pipeline(processors, **settings), self.job()
        collection = asyncio.run(collect.collect(pipeline, job))
        start = Processed(collection.frame, collection.rows, collection.rejected)
        processed, record = process.process(pipeline, start, job)
        outcome = Outcome(processed.frame, [], record, processed.rejected)
        rows = self.stored(processed.frame, job)
        (job.folder / "fit_record").write_bytes(fit_record.encode(record))
        return Made(job, outcome), rows

    def order(self, of: Made, before: list[Any], base: Made | None = None, **more: Any) -> messages.Replay:
        base = base or of
        stored = messages.StoredParts(pipeline="p", version=1, parts=(str(base.folder / "part.parquet"),), rows=0)
        given = {"base_before": before, "fit_record": str(base.folder / "fit_record"), **more}
        return messages.Replay(version=1, files=files(of), before=before, base=stored, fitted={}, **given)

    def replay(
        self, order: messages.Replay, processors: list[Any], **settings: Any
    ) -> tuple[Made, pl.DataFrame, Source]:
        job = self.job()
        outcome = replay.replay(self.pipeline(processors, **settings), job, order)
        (source,) = outcome.sources
        return Made(job, outcome), self.stored(outcome.frame, job), source

    def stored(self, frame: Any, job: Job) -> pl.DataFrame:
        assert isinstance(frame, PolarsFrame)
        rows = frame.lazy.collect()
        rows.write_parquet(job.folder / "part.parquet")
        return rows


def files(made: Made) -> tuple[str, ...]:
    return tuple(str(made.folder / r.file) for r in made.outcome.rejected if r.file is not None)


def left(made: Made) -> list[tuple[str, Any]]:
    """Step and id (or text) of every row that is in quarantine."""
    frames = [pl.read_parquet(file) for file in files(made)]
    return sorted((r["_step"], r["_text"] or r["id"]) for frame in frames for r in frame.iter_rows(named=True))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def codes(made: Made) -> list[str]:
    return [w.code for w in made.warnings]


def test_each_row_goes_on_where_it_was_refused(warehouse: Warehouse) -> None:
    first, rows = warehouse.run(BEFORE)
    assert rows["id"].to_list() == [1]
    assert left(first) == [("collectors[0]", "4,x"), ("processors[0]", 2), ("processors[1]", 3)]
    now = [validator({**POSITIVE, "min": -5}), cleaner(replace={"city": {"Rom": "Rome"}}), validator(KNOWN)]
    job, rows, source = warehouse.replay(warehouse.order(first, BEFORE), now)
    assert rows.rows() == [(1, 10, "Bern"), (2, -1, "Bern"), (3, 5, "Rome")]
    assert left(job) == [("collectors[0]", "4,x")]
    assert (source.rows, source.evidence) == (2, {"version": 1, "rows": 3})
    assert job.job.rows_collected == 3


def test_what_is_refused_again_by_several_ways_is_all_kept(warehouse: Warehouse) -> None:
    first, _ = warehouse.run(BEFORE)
    now = [validator({**POSITIVE, "min": -5}), validator({"expression": "id = 2"})]
    job, rows, _ = warehouse.replay(warehouse.order(first, BEFORE), now)
    assert rows["id"].to_list() == [1, 2]
    assert left(job) == [("collectors[0]", "4,x"), ("processors[1]", 3)]
    assert len(set(files(job))) == 2


def test_a_cleaner_that_was_changed_is_gone_through_again_though_it_renames(warehouse: Warehouse) -> None:
    def steps(**more: Any) -> list[Any]:
        return [cleaner(rename_columns={"city": "town"}, **more), validator({**KNOWN, "column": "town"})]

    first, _ = warehouse.run(steps())
    _, rows, _ = warehouse.replay(warehouse.order(first, steps()), steps(replace={"town": {"Rom": "Rome"}}))
    assert rows.sort("id")["town"].to_list() == ["Bern", "Bern", "Rome"]


def test_malformed_rows_begin_at_the_beginning(warehouse: Warehouse) -> None:
    steps = [cleaner(fill_na={"city": "none"}), validator(POSITIVE)]
    first, _ = warehouse.run(steps)
    settings = {"column_names": ["id", "price"], "schema": {"price": "string"}}
    now = [steps[0], cleaner(drop_columns=["price"])]
    job, rows, _ = warehouse.replay(warehouse.order(first, steps), now, **settings)
    assert rows["id"].to_list() == [1, 3, 4, 2]
    assert rows["city"].to_list() == ["Bern", "Rom", "none", "Bern"]
    assert rows["price"].to_list() == [10, 5, None, None]
    assert codes(job) == ["columns_differ"]


def test_rows_of_joined_sources_and_of_collectors_that_cannot_stay(warehouse: Warehouse) -> None:
    first, _ = warehouse.run(BEFORE)
    now = [validator({**POSITIVE, "min": -5}), validator(KNOWN)]
    one = {"type": "csv", "file_path": "x.csv", "on_malformed": "skip"}
    other = {"type": "json", "file_path": "y.json"}
    for collectors, combine in (([one, other], {"how": "join", "on": ["id"]}), ([other], None)):
        document = {"name": "p", "collectors": collectors, "processors": now}
        pipeline = pipelines.decode(document | ({"combine": combine} if combine else {}), REGISTRY)
        job = warehouse.job()
        again = Made(job, replay.replay(pipeline, job, warehouse.order(first, BEFORE)))
        assert left(again) == [("collectors[0]", "4,x"), ("processors[1]", 3)]
        assert "not_replayed" in codes(again)


FITTED = [
    transformer(normalize={"price": "standard"}, encode={"city": "onehot"}),
    transformer(
        bin={"price": {"method": "quantile", "bins": 2}}, encode={"city": {"method": "target", "target": "id"}}
    ),
    cleaner(
        fill_na={"price": {"strategy": "mean"}}, outliers={"price": {"method": "iqr", "factor": 1.5, "action": "clip"}}
    ),
    {"type": "sql", "config": {"query": "SELECT id, price * 2 AS price FROM input ORDER BY id"}},
]


@pytest.mark.parametrize("step", FITTED)
def test_what_was_fitted_then_is_used_again(step: dict[str, Any], warehouse: Warehouse) -> None:
    rows = "id,price,city\n1,10,Bern\n2,30,Rome\n3,-4,Bern\n4,14,Rome\n"
    (warehouse.folder / "uploads" / "x.csv").write_text(rows)
    before = [validator(POSITIVE), step]
    first, stored = warehouse.run(before)
    _, whole, _ = warehouse.replay(warehouse.order(first, before), [validator({**POSITIVE, "min": -5}), step])
    assert whole.head(stored.height).equals(stored)
    assert whole["id"].to_list() == [1, 2, 4, 3]
    if "price" in step["config"].get("normalize", {}):
        mean, std = 18.0, ((8**2 + 12**2 + 4**2) / 3) ** 0.5  # of the three that were stored
        assert whole["price"][-1] == pytest.approx((-4 - mean) / std)
        assert whole.select("city_Bern", "city_Rome").row(-1) == (1, 0)


@pytest.mark.parametrize(
    "step",
    [
        transformer(aggregate={"by": ["city"], "metrics": {"n": "count(*)"}}),
        transformer(lag={"price": {"by": ["city"], "order_by": ["id"]}}),
        cleaner(fill_na={"price": {"strategy": "forward", "order_by": "id"}}),
        {"type": "sql", "config": {"query": "SELECT city, sum(price) AS price FROM input GROUP BY city"}},
    ],
)
def test_a_step_that_needs_other_rows_stops_those_that_come_to_it(step: dict[str, Any], warehouse: Warehouse) -> None:
    before = [validator(POSITIVE), step]
    first, _ = warehouse.run(before)
    with pytest.raises(errors.Permanent) as caught:
        warehouse.replay(warehouse.order(first, before), [validator({**POSITIVE, "min": -5}), step])
    assert caught.value.error_code == "NEEDS_ALL_ROWS"


def test_a_fit_that_was_changed_or_is_not_written_down_stops_them_too(warehouse: Warehouse) -> None:
    before = [validator(POSITIVE), transformer(normalize={"price": "standard"})]
    first, _ = warehouse.run(before)
    dynamic_columns = validator({**POSITIVE, "min": -5})
    for now, more in (
        ([dynamic_columns, transformer(normalize={"price": "minmax"})], {}),
        ([dynamic_columns, before[1]], {"fit_record": None}),
    ):
        with pytest.raises(errors.Permanent) as caught:
            warehouse.replay(warehouse.order(first, before, **more), now)
        assert caught.value.error_code == "NEEDS_ALL_ROWS"


def test_the_answers_go_with_the_new_version_under_the_places_of_now(warehouse: Warehouse) -> None:
    before = [validator(POSITIVE), transformer(normalize={"price": "standard"})]
    first, _ = warehouse.run(before)
    now = [cleaner(strip_strings=True), validator({**POSITIVE, "min": -5}), before[1]]
    job, _, _ = warehouse.replay(warehouse.order(first, before), now)
    made, earlier = job.outcome.fit_record, first.outcome.fit_record
    assert made.steps["processors[2]"] == earlier.steps["processors[1]"]
    assert (made.schema, made.now) == (earlier.schema, earlier.now)
    assert made.steps["processors[1]"].calls


def test_rows_that_come_to_no_such_step_pass_and_the_others_stay(warehouse: Warehouse) -> None:
    filled = cleaner(fill_na={"price": {"strategy": "forward", "order_by": "id"}})
    before = [validator(POSITIVE), filled, validator(KNOWN)]
    first, _ = warehouse.run(before)
    now = [validator({**POSITIVE, "min": -5}), filled, validator({**KNOWN, "values": ["Bern", "Rom"]})]
    job, rows, _ = warehouse.replay(warehouse.order(first, before), now)
    assert rows["id"].to_list() == [1, 3]
    assert left(job) == [("collectors[0]", "4,x"), ("processors[0]", 2)]
    assert codes(job)[-1] == "not_replayed"


def test_nothing_passes(warehouse: Warehouse) -> None:
    first, _ = warehouse.run(BEFORE)
    with pytest.raises(errors.Permanent) as caught:
        warehouse.replay(warehouse.order(first, BEFORE), BEFORE)
    error = caught.value
    assert error.error_code == "NOTHING_PASSED"
    assert error.message.startswith(
        "none of the 3 rows in quarantine of version 1 passes now: malformed of collectors[0]"
    )
    assert {"step": "processors[0]", "rule": "price_in_range", "column": "price", "rows": 1} in error.details["rules"]


def test_columns_that_are_new_or_gone_are_null_and_said(warehouse: Warehouse) -> None:
    before = [validator(POSITIVE)]
    first, _ = warehouse.run(before)
    now = [
        validator({**POSITIVE, "min": -5}),
        cleaner(drop_columns=["city"]),
        transformer(derive={"twice": "price * 2"}),
    ]
    job, rows, _ = warehouse.replay(warehouse.order(first, before), now)
    assert rows.columns == ["id", "price", "city", "twice"]
    assert rows.row(-1) == (2, -1, None, -2)
    assert rows.row(0) == (1, 10, "Bern", None)
    (warning,) = [w for w in job.warnings if w.code == "columns_differ"]
    assert warning.details == {"new": ["twice"], "gone": ["city"]}


def test_types_are_those_of_the_version(warehouse: Warehouse) -> None:
    before = [validator(POSITIVE)]
    first, rows = warehouse.run(before)
    now = [validator({**POSITIVE, "min": -5}), cleaner(cast={"price": "string"})]
    _, added, _ = warehouse.replay(warehouse.order(first, before), now)
    assert added.schema == rows.schema
    now = [validator({**POSITIVE, "min": -5}), transformer(derive={"day": "DATE '2024-01-31'"}, select=["id", "day"])]
    renamed = [*now, cleaner(rename_columns={"day": "price"})]
    with pytest.raises(errors.Permanent, match="'price' is date now and int64 in version 1"):
        warehouse.replay(warehouse.order(first, before), renamed)


def test_the_quarantine_of_the_newest_version_stays_beside_that_of_an_older_one(warehouse: Warehouse) -> None:
    first, _ = warehouse.run(BEFORE)
    newest, _ = warehouse.run([validator(KNOWN)])
    order = warehouse.order(first, BEFORE, newest, carried=files(newest), base_before=[validator(KNOWN)])
    job, rows, _ = warehouse.replay(order, [validator({**POSITIVE, "min": -5}), validator(KNOWN)])
    assert rows["id"].to_list() == [1, 2, 2]
    assert left(job) == [
        ("collectors[0]", "4,x"), ("collectors[0]", "4,x"), ("processors[1]", 3), ("processors[1]", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (validator({"column": "id", "check": "unique"}), ["processors[0]"]),
        (cleaner(drop_duplicates=["id"]), ["processors[0]"]),
        (cleaner(strip_strings=True), []),
    ],
)
def test_a_step_that_would_compare_with_stored_rows_says_that_it_cannot(
    step: dict[str, Any], said: list[str], warehouse: Warehouse
) -> None:
    first, _ = warehouse.run(BEFORE)
    again, _, source = warehouse.replay(warehouse.order(first, BEFORE), [step])
    assert source.rows > 0
    assert [w.step for w in again.warnings if w.code == "compared_alone"] == said


def test_analyzers_at_the_end_profile_the_whole_and_others_are_left_out(warehouse: Warehouse) -> None:
    analyzer = {"type": "analyzer", "config": {}}
    before = [validator(POSITIVE), analyzer]
    first, _ = warehouse.run(before)
    job, _, _ = warehouse.replay(warehouse.order(first, before), [validator({**POSITIVE, "min": -5}), analyzer])
    assert [p.row_count for p in job.outcome.profiles] == [3]
    now = [validator({**POSITIVE, "min": -5}), analyzer, cleaner(strip_strings=True)]
    job, _, _ = warehouse.replay(warehouse.order(first, before), now)
    assert (job.outcome.profiles, codes(job)[-1]) == ((), "profile_left_out")
