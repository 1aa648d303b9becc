"""The lineage of a pipeline among all pipelines, from the newest revisions of their configurations. Blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from service.catalog.pipelines import Pipelines
from service.jobs.tasks.task import Tracing
from service.kit import errors
from service.model import lineage
from service.model import pipeline as pipelines
from service.model.lineage import LineageEdge, LineageNode
from service.model.registry import Registry
from service.model.rights import Readable
from service.model.version import Column, Version
from service.steps.collector import Upstream

_MOST_PIPELINES = 100_000


def edges_of(name: str, document: Mapping[str, Any], registry: Registry) -> list[LineageEdge]:
    """The pipelines that a configuration depends on; none for one that this release cannot read."""
    found: list[LineageEdge] = []
    trigger = document.get("trigger")
    for place, upstream in enumerate(trigger.get("after") or [] if isinstance(trigger, Mapping) else []):
        found.append(lineage.upstream_edge(name, Upstream(str(upstream)), "triggers", f"trigger.after[{place}]"))
    try:
        pipeline = pipelines.decode(dict(document), registry)
    except errors.Invalid:
        return found
    for place, collector in enumerate(pipeline.collectors):
        if (read := collector.upstream()) is not None:
            found.append(lineage.upstream_edge(name, read, "reads", f"collectors[{place}]"))
    for place, processor in enumerate(pipeline.processors):
        for checked in processor.upstreams():
            found.append(lineage.upstream_edge(name, checked, "checks", f"processors[{place}]"))
    return found


class LineageGraph:
    """The dependencies of the live pipelines that a caller sees; others are as if they did not exist."""

    def __init__(self, stored: Pipelines, registry: Registry, readable: Readable = None) -> None:
        listed, _ = stored.list(limit=_MOST_PIPELINES, offset=0, readable=readable)
        self._documents = {line.name: stored.get(line.name).document for line in listed}
        self._edges = [edge for name, doc in self._documents.items() for edge in edges_of(name, doc, registry)]

    def around(self, name: str, depth: int) -> tuple[list[LineageNode], list[LineageEdge]]:
        """The nodes and edges up to ``depth`` steps above and below a pipeline, the pipeline first.

        Pipelines that depend on each other in a circle are there once.
        """
        start = f"pipeline:{name}"
        edges: dict[LineageEdge, None] = {}
        for up in (True, False):
            reached, border = {start}, {start}
            for _ in range(depth):
                found = [e for e in self._edges if (e.target if up else e.source) in border]
                edges.update(dict.fromkeys(found))
                border = {(e.source if up else e.target) for e in found} - reached
                reached |= border
        ids = dict.fromkeys([start, *(end for edge in edges for end in (edge.source, edge.target))])
        nodes = {node.id: node for node in map(self._node, ids)}
        if depth:
            above = self._reading(nodes, start, edges)
            for node, edge in (pair for name in above for pair in lineage.source_nodes(name, self._documents[name])):
                nodes.setdefault(node.id, node)
                edges[edge] = None
        return list(nodes.values()), list(edges)

    def _node(self, identifier: str) -> LineageNode:
        name = identifier.partition(":")[2]
        return lineage.pipeline_node(name, exists=name in self._documents)

    def _reading(self, nodes: Mapping[str, LineageNode], start: str, edges: Iterable[LineageEdge]) -> list[str]:
        """The pipeline and those above it that exist: their sources are shown, those of readers are not."""
        above, border = {start}, {start}
        while border:
            border = {e.source for e in edges if e.target in border} - above
            above |= border
        return [node.name for node in nodes.values() if node.id in above and node.exists]


def tracing(document: Mapping[str, Any], version: Version | None) -> Tracing:
    """The task that traces the columns of the newest version, or what is known without one."""
    collectors = document.get("collectors") or []
    sources: list[list[Column]] = [source.columns for source in version.sources] if version is not None else []
    sources += [[] for _ in range(len(collectors) - len(sources))]
    return Tracing(document=dict(document), sources=sources[: len(collectors)])
