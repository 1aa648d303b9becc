"""First pages without the path of the records: an empty result, or a path that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.collectors.api_source import failure, fetched
from tests.unit.collectors.http_api.parents import children
from tests.unit.network.site import Hit, Reply

EMPTY: list[tuple[str, Any]] = [
    ("items", {"kind": "calendar#events", "etag": "3f", "nextSyncToken": "CPDA"}),
    ("rows", {"jobComplete": True, "totalRows": "0", "schema": {"fields": []}}),
    ("query.allpages", {"batchcomplete": True}),
    ("response.docs", {"response": {"numFound": 0, "start": 0}}),
    ("data.orders.nodes", {"data": {"orders": None}}),
    ("items", {}),
]


@pytest.mark.parametrize(("path", "body"), EMPTY)
def test_a_source_that_leaves_the_path_out_has_no_records(path: str, body: Any, tmp_path: Path) -> None:
    frame, _, ctx = fetched(lambda hit: Reply.json(body), tmp_path, records_path=path, schema={"id": "int64"})
    report = ctx.report()
    declares_none = "0" in str(body)
    assert frame.height == 0
    assert report.evidence["pages_without_records"] == 1
    assert [w.code for w in report.warnings if w.code != "missing_column"] == (
        [] if declares_none else ["no_records_key"]
    )
    if not declares_none:
        error = failure(lambda hit: Reply.json(body), tmp_path, records_path=path, completeness="strict")
        assert error.details["field"] == "records_path"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("items", {"results": [{"id": 1}]}),  # other records
        ("data.items", {"data": {"list": {"entries": [{"id": 1}]}}}),
        ("items", {"item": []}),  # a name that is alike
        ("data.orders", {"data": {"order": {}}}),
        ("items", {"kind": "list", "total": 9}),  # a total says that there are some
        ("items", {"kind": "list", "has_more": True}),
        ("items", {"message": "API rate limit exceeded", "documentation_url": "https://x.example"}),  # an error
        ("items", {"Note": "Our call frequency is 5 calls a minute"}),
        ("response.venues", {"meta": {"code": 400, "errorDetail": "no client id"}, "response": {}}),
        ("items", {"result": {"error": {"text": "denied"}}}),
    ],
)
def test_a_path_that_is_wrong_is_an_error(path: str, body: Any, tmp_path: Path) -> None:
    error = failure(lambda hit: Reply.json(body), tmp_path, records_path=path)
    assert f"there is nothing at '{path}'; check records_path" in error.message
    assert error.details["field"] == "records_path"


def test_a_parent_s_list_may_leave_it_out(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply.json({"user": 1, **({} if hit.path == "/users/2/posts" else {"posts": [{"text": "a"}]})})

    frame, ctx, _ = children(tmp_path, answer, records_path="posts", pagination="none")
    assert frame.height == 2
    assert [w.code for w in ctx.report().warnings] == ["no_records_key"]
