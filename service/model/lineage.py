"""Lineage: what a pipeline reads, what reads it, and from which columns its columns are made, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from service.model import masking
from service.steps.collector import Upstream

_USER = re.compile(r"(?<=://)[^/@\s]+@")

NodeKind = Literal["pipeline", "source"]
EdgeKind = Literal["reads", "checks", "triggers"]


class LineageNode(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline, or a source outside: ``name`` is a pipeline's name, a file or a URL with its secrets masked.

    ``exists`` is false for a pipeline that was deleted or never created, and null for a source.
    """

    id: str
    kind: NodeKind
    name: str
    type: str
    exists: bool | None = None


class LineageEdge(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """``to`` depends on ``from``: it reads its rows, checks values against it, or runs after it.

    ``step`` is the step or setting of ``to`` that names ``from``, ``version`` the number or tag of what it reads
    (null: the newest).
    """

    source: str
    target: str
    kind: EdgeKind
    step: str
    version: int | str | None = None


class OriginColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of one collector from which a column is made."""

    collector: str
    columns: list[str]


class ColumnOrigins(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the result and where it comes from; empty ``origins``: from no column, such as a constant."""

    name: str
    type: str
    origins: list[OriginColumns]


class TracedColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a result, null if they cannot be traced, and ``why`` they are unknown or incomplete."""

    columns: list[ColumnOrigins] | None
    why: str | None


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What is up to ``depth`` steps above and below a pipeline, and the origins of its columns."""

    pipeline: str
    revision: int
    version: int | None
    depth: int
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    columns: list[ColumnOrigins] | None
    why: str | None


def pipeline_node(name: str, *, exists: bool) -> LineageNode:
    """The node of a pipeline."""
    return LineageNode(id=f"pipeline:{name}", kind="pipeline", name=name, type="pipeline", exists=exists)


def source_nodes(name: str, document: Mapping[str, Any]) -> list[tuple[LineageNode, LineageEdge]]:
    """The sources outside of Penstock that a configuration names, with secrets masked."""
    shown = masking.masked(document)
    found = []
    for place, item in enumerate(shown.get("collectors") or []):
        tag = str(item.get("type", ""))
        if tag == "pipeline":
            continue
        address = next((item[key] for key in ("endpoint", "url", "file_path") if item.get(key)), tag)
        for item in address if isinstance(address, list) else [address]:
            text = _USER.sub("***@", str(item))
            node = LineageNode(id=f"source:{text}", kind="source", name=text, type=tag)
            edge = LineageEdge(source=node.id, target=f"pipeline:{name}", kind="reads", step=f"collectors[{place}]")
            found.append((node, edge))
    return found


def upstream_edge(name: str, upstream: Upstream, kind: EdgeKind, step: str) -> LineageEdge:
    """The edge from a pipeline that a step of ``name`` reads."""
    return LineageEdge(
        source=f"pipeline:{upstream.pipeline}",
        target=f"pipeline:{name}",
        kind=kind,
        step=step,
        version=upstream.version,
    )
