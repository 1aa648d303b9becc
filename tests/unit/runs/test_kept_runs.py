"""Which runs may share a worker: those for which it reaches the same things."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.jobs.messages import Base, Grants, Order, Remembered, StoredParts
from service.model import pipeline as pipelines
from service.model.registry import Registry
from service.processes.limits import Limits
from service.runs import kept_runs
from service.values.version_mode import BaseVersion, Layout

BASE = Base(
    version=BaseVersion(version=1, folder="/v1", files=[], layout=Layout()), revision=1, columns=[], table="p",
    native=False,
)  # fmt: skip
CSV = {"type": "csv", "file_path": "cities.csv"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def limits(
    registry: Registry, document: dict[str, Any], grants: dict[str, Any], order: dict[str, Any]
) -> Limits | None:
    document = {"name": "cities", "collectors": [CSV], **document}
    given = Grants(**{"folder": "/staging/run", "memory_bytes": 1 << 30, "file_roots": ("/files",), **grants})
    made = Order(
        run_id="r", pipeline_id="p", document=document, revision=1, version=1, created=datetime.now(UTC), grants=given,
        **order,
    )  # fmt: skip
    return kept_runs.limits(pipelines.decode(document, registry), made)


def test_runs_over_files_share_a_worker_that_reaches_no_more_than_files(registry: Registry) -> None:
    shared = limits(registry, {}, {"pace": "/pace"}, {})
    assert shared is not None
    assert (shared.read, shared.write, shared.network, shared.sandbox) == (("/files",), (), False, True)
    assert shared == limits(registry, {"name": "towns"}, {"folder": "/staging/other"}, {})
    assert shared == limits(registry, {}, {"pace": "/pace"}, {"base": msgspec.structs.replace(BASE, alike=True)})


@pytest.mark.parametrize("grants", [{"memory_bytes": 1 << 29}, {"file_roots": ("/others",)}])
def test_other_grants_are_other_limits(grants: dict[str, Any], registry: Registry) -> None:
    found = limits(registry, {}, grants, {})
    assert found is not None
    assert found != limits(registry, {}, {}, {})


@pytest.mark.parametrize(
    ("document", "grants", "order"),
    [
        ({"collectors": [{"type": "api", "endpoint": "https://example.org/a"}]}, {}, {}),
        ({"collectors": [CSV, {"type": "api", "endpoint": "https://example.org/a"}]}, {}, {}),
        ({"processors": [{"type": "sql", "config": {"query": "SELECT * FROM input"}}]}, {}, {}),
        ({"storage": [{"type": "parquet", "mode": "append"}]}, {}, {}),
        ({"storage": [{"type": "parquet", "mode": "merge", "key": ["id"]}]}, {}, {}),
        ({}, {"secrets": {"TOKEN": "x"}}, {}),
        ({}, {"stored": {"collectors[0].name": StoredParts(pipeline="a", version=1, parts=("/p",), rows=1)}}, {}),
        ({}, {}, {"remembered": Remembered(folder="/v1", files=[])}),
        ({}, {}, {"base": BASE}),
    ],
    ids=["network", "network too", "sql", "append", "merge", "secret", "stored version", "state", "earlier program"],
)
def test_other_runs_have_a_worker_of_their_own(
    document: dict[str, Any], grants: dict[str, Any], order: dict[str, Any], registry: Registry
) -> None:
    assert limits(registry, document, grants, order) is None


def test_a_plug_in_of_others_has_a_worker_of_its_own(registry: Registry) -> None:
    csv = registry.collectors.kinds["csv"]
    foreign = type("Csv", (csv,), {"__module__": "elsewhere"}, frozen=True, kw_only=True, tag="elsewhere")
    other = Registry.load()
    other.collectors.add(foreign)
    assert limits(other, {"collectors": [{**CSV, "type": "elsewhere"}]}, {}, {}) is None
