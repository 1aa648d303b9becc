"""The graph of pipelines: what is above and below one, cycles, deleted upstreams, masked addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.catalog.pipelines import Pipelines
from service.kit.clock import FixedClock
from service.runs.lineage_graph import LineageGraph, edges_of, tracing
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH


def reads(*names: str, **more: Any) -> dict[str, Any]:
    collectors = [{"type": "pipeline", "name": name} for name in names]
    return {"collectors": collectors or [{"type": "csv", "file_path": ["a.csv", "b.csv"]}], **more}


@pytest.fixture
def stored(tmp_path: Path) -> Pipelines:
    pipelines = Pipelines(stores.new(), FixedClock())
    documents = {
        "raw": reads(), "clean": reads("raw"), "report": reads("clean"), "board": reads("report", "gone"),
        "web": {"collectors": [{"type": "api", "endpoint": "https://u:pw@example.org/x?api_key=k1&page=2"}]},
        "left": reads("right"), "right": reads("left"),
    }  # fmt: skip
    for name, document in documents.items():
        pipelines.create(name, name, {"name": name, **document}, "ann")
    return pipelines


def names(graph: LineageGraph, name: str, depth: int) -> set[str]:
    nodes, edges = graph.around(name, depth)
    assert nodes[0].name == name
    ids = {node.id for node in nodes}
    assert len(ids) == len(nodes)
    assert all({e.source, e.target} <= ids for e in edges)
    return {node.name for node in nodes}


def test_depth_counts_steps_in_both_directions(stored: Pipelines) -> None:
    graph = LineageGraph(stored, REGISTRY)
    assert names(graph, "clean", 0) == {"clean"}
    assert names(graph, "clean", 1) == {"raw", "clean", "report", "a.csv", "b.csv"}
    assert names(graph, "clean", 2) == {"raw", "clean", "report", "board", "a.csv", "b.csv"}
    assert names(graph, "raw", 20) == {"raw", "clean", "report", "board", "a.csv", "b.csv"}


def test_cycles_end_and_missing_pipelines_are_marked(stored: Pipelines) -> None:
    graph = LineageGraph(stored, REGISTRY)
    assert names(graph, "left", 20) == {"left", "right"}
    nodes, _ = graph.around("board", 1)
    assert {n.name: n.exists for n in nodes} == {"board": True, "report": True, "gone": False}


def test_addresses_are_masked(stored: Pipelines) -> None:
    (node,) = (n for n in LineageGraph(stored, REGISTRY).around("web", 1)[0] if n.kind == "source")
    assert "k1" not in node.name
    assert "pw" not in node.name
    assert "page=2" in node.name


def test_triggers_are_edges() -> None:
    collectors = [{"type": "pipeline", "name": "raw", "version": 3}]
    document = {"name": "orders", "trigger": {"after": ["raw"]}, "collectors": collectors}
    found = {(e.source, e.kind, e.step, e.version) for e in edges_of("orders", document, REGISTRY)}
    assert ("pipeline:raw", "triggers", "trigger.after[0]", None) in found


def test_sources_without_a_version_are_unknown() -> None:
    assert tracing({"collectors": [{}, {}]}, None).sources == [[], []]
