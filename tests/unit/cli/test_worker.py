"""A worker that could do nothing is refused with what to set; and it loads no framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.cli import worker
from service.kit import errors, settings
from service.kit.settings import Settings

BOTH = {"catalog_url": "postgresql://db/penstock", "warehouse_url": "s3://bucket/prefix"}


def refused(**chosen: object) -> list[str]:
    with pytest.raises(errors.Invalid) as caught:
        worker.refuse(Settings(**chosen))  # type: ignore[arg-type]
    return [str(problem["field"]) for problem in caught.value.details["errors"]]


def test_what_a_worker_needs_is_named() -> None:
    assert refused() == ["PENSTOCK_CATALOG_URL", "PENSTOCK_WAREHOUSE_URL"]
    assert refused(catalog_url=BOTH["catalog_url"]) == ["PENSTOCK_WAREHOUSE_URL"]
    assert refused(**BOTH, max_concurrent_runs=0) == ["PENSTOCK_MAX_CONCURRENT_RUNS"]
    assert refused(**BOTH, only_labelled=True) == ["PENSTOCK_ONLY_LABELLED"]
    worker.refuse(Settings(**BOTH, only_labelled=True, worker_labels=("gpu",)))  # type: ignore[arg-type]


def test_labels_come_from_the_environment_or_flags_and_have_the_form_of_names() -> None:
    assert settings.load({"PENSTOCK_WORKER_LABELS": "gpu, eu-west.1"}).worker_labels == ("gpu", "eu-west.1")
    assert settings.load({"PENSTOCK_WORKER_LABELS": "gpu"}, worker_labels=("cpu",)).worker_labels == ("cpu",)
    with pytest.raises(errors.Invalid, match="PENSTOCK_WORKER_LABELS"):
        settings.load({"PENSTOCK_WORKER_LABELS": "GPU"})


def test_a_worker_loads_no_framework() -> None:
    code = (
        "import sys, service.cli.worker, service.bootstrap, service.api.worker_health; "
        "sys.exit(str([name for name in ('litestar', 'granian', 'psycopg') if name in sys.modules] or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) in [(0, ""), (1, "0")], done.stderr
