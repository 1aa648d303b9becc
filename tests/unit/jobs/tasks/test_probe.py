"""A probe's errors name the fields of the request's body, not those of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.jobs.tasks.probe import Probing
from service.kit import errors
from service.probing.probe import Probe
from tests.unit.jobs.walking import job_in


def test_the_field_of_an_error_is_one_of_the_body(tmp_path: Path) -> None:
    with pytest.raises(errors.StepError) as caught:
        Probing(probe=Probe(file_path="nothing.csv")).answer(job_in(str(tmp_path)))
    assert caught.value.details["field"] == "file_path"
