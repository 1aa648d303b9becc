"""A probe's errors name the fields of the request's body, not those of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.jobs.tasks import worker
from service.jobs.tasks.task import Probing
from service.kit import errors
from service.probing.finding import Probe
from tests.unit.jobs.walking import job_in


def test_the_field_of_an_error_is_one_of_the_body(tmp_path: Path) -> None:
    job = job_in(str(tmp_path))
    with pytest.raises(errors.StepError) as caught:
        worker.answer(Probing(probe=Probe(file_path="nothing.csv")), job)
    assert job.body(caught.value).details == {"field": "file_path"}
