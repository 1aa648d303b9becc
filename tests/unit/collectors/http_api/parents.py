"""Users and their posts, as a source whose lists are asked for a parent at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.collectors.api_source import rows
from tests.unit.network.site import Hit, Reply, context, serving

USERS = pl.DataFrame({"id": [3, 1, 2, 1], "name": ["Cem", "Ann", "Bob", "Ann"], "team": ["a/b", "c d", "ü", "c d"]})
POSTS = {1: 5, 2: 0, 3: 2}
CHILD: dict[str, Any] = {
    "endpoint": "/users/{id}/posts",
    "for_each": {"collector": "users", "fields": {"id": "id"}, "include": ["name"]},
}


def posts(hit: Hit) -> Reply:
    user = int(hit.path.split("/")[2])
    page, size = int(hit.query.get("page", 1)), 2
    every = [{"post": user * 100 + n} for n in range(POSTS[user])]
    return Reply.json({"items": every[(page - 1) * size : page * size], "total": len(every)})


def children(tmp_path: Path, answers: Any = posts, parents: pl.DataFrame = USERS, **config: Any) -> Any:
    with serving(answers) as site:
        ctx = context(tmp_path, parents=parents.lazy(), base=(f"{site.address}/users",))
        return rows({**CHILD, "pagination": "page", **config}, ctx), ctx, site
