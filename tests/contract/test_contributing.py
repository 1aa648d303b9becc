"""The examples of ``.github/CONTRIBUTING.md``: short, importing only the façade, and working in a real run."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import polars as pl
import pytest

from service.jobs import messages, plugins
from service.jobs.messages import Grants, Loaded, Order, Prepared, Reload
from service.jobs.run_worker import RunWorker
from service.model.registry import Registry, Shelf

PAGE = Path(__file__).parents[2] / ".github" / "CONTRIBUTING.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
DOCUMENT = {
    "name": "p",
    "collectors": [{"type": "squares", "rows": 3}],
    "processors": [{"type": "center", "config": {"column": "square"}}],
    "storage": [{"type": "parquet"}, {"type": "jsonl"}],
}


class Wire:
    """A channel that keeps what a worker sends."""

    def __init__(self) -> None:
        self.messages: list[messages.WorkerMessage] = []

    def send(self, data: bytes) -> None:
        self.messages.append(messages.decode(data))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """All plug-ins of this installation and those of the page."""
    registry = Registry.load()
    shelves: list[Shelf[Any]] = [registry.collectors, registry.processors, registry.storages]
    for number, (text, shelf) in enumerate(zip(EXAMPLES, shelves, strict=True)):
        module = ModuleType(f"contributing_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(text, vars(module))
        (plugin,) = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)
        shelf.add(plugin)
    monkeypatch.setattr(plugins, "registry", lambda: registry)
    return registry


def _run(order: Order) -> list[messages.WorkerMessage]:
    wire: Any = Wire()
    RunWorker(wire, order).run()
    return list(wire.messages)


def test_the_examples_work_in_a_run(registry: Registry, tmp_path: Path) -> None:
    order = Order(
        run_id="r", pipeline_id="p", document=DOCUMENT, revision=1, version=1, created=datetime.now(UTC),
        grants=Grants(folder=str(tmp_path), memory_bytes=0),
    )  # fmt: skip
    prepared = _run(order)[-1]
    assert isinstance(prepared, Prepared)
    parts = [tmp_path / f.name for f in prepared.files]
    assert pl.read_parquet(parts).to_dict(as_series=False) == {
        "n": [1, 2, 3],
        "square": [1 - 14 / 3, 4 - 14 / 3, 9 - 14 / 3],
    }
    assert prepared.sources[0].evidence == {"last": 3}
    assert prepared.fitted["processors[0]"].parameters == {"center": {"square": {"mean": pytest.approx(14 / 3)}}}
    reload = Reload(folder=str(tmp_path), parts=tuple(map(str, parts)), rows=prepared.rows)
    loaded = _run(msgspec.structs.replace(order, reload=reload))[-1]
    assert isinstance(loaded, Loaded)
    assert pl.read_ndjson(tmp_path / "rows.jsonl")["n"].to_list() == [1, 2, 3]


def test_the_examples_are_short_and_import_only_the_facade() -> None:
    assert len(EXAMPLES) == 3
    for text in EXAMPLES:
        assert len(text.splitlines()) <= 30
        assert re.findall(r"(?:from|import) (service\S*)", text) == ["service.steps"]
