"""Fitted size: parameters that the catalog could not keep end the run at the step, with the setting that made them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.jobs import fitted_size, process
from service.jobs.process import Processed
from service.kit import errors
from service.steps.report import FittedStep
from tests.registry import a_pipeline
from tests.unit.jobs.walking import job_in, transformer


def test_parameters_count_together_and_the_largest_setting_of_the_step_is_named() -> None:
    fitted = {
        "processors[0]": FittedStep("cleaner", {"fill_na": {"a": {"value": "x" * 60}}, "note": "y"}),
        "processors[1]": FittedStep("transformer", {"encode": {"b": ["z" * 30], "c": ["z" * 20]}, "text": 1}),
    }
    fitted_size.check(fitted, "processors[1]", most=150)
    with pytest.raises(errors.Permanent, match=r"^encode\.b: .* max_categories") as caught:
        fitted_size.check(fitted, "processors[1]", most=100)
    assert caught.value.details["field"] == "processors[1].config.encode.b"
    assert caught.value.details["limit_bytes"] == 100 < caught.value.details["needed_bytes"] <= 150


def test_a_run_ends_at_the_step_whose_parameters_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted_size, "MOST", 1_000)
    start = Processed(PolarsFrame(pl.LazyFrame({"id": [f"{n:040}" for n in range(50)]}), tmp_path))
    pipeline = a_pipeline(processors=[transformer(encode={"id": "ordinal"})])
    with pytest.raises(errors.Permanent, match=r"encode\.id") as caught:
        process.process(pipeline, start, job_in(str(tmp_path)))
    assert caught.value.details["step"] == "processors[0]"
