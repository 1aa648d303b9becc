"""Lists of records that are asked for a parent at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors.http_api.for_each import ForEach
from service.kit import errors
from tests.unit.collectors.api_source import collector, rows
from tests.unit.collectors.http_api.incremental_runs import SINCE, Runs
from tests.unit.collectors.http_api.parents import CHILD, USERS, children, posts
from tests.unit.network.site import Hit, Reply, context, serving


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_records_of_every_parent_in_the_order_of_the_parents(tmp_path: Path, concurrency: int) -> None:
    frame, ctx, site = children(tmp_path, concurrency=concurrency)
    assert frame.to_dict(as_series=False) == {
        "post": [300, 301, 100, 101, 102, 103, 104],
        "users_name": ["Cem", "Cem", "Ann", "Ann", "Ann", "Ann", "Ann"],
    }
    assert {h.path for h in site.hits} == {f"/users/{n}/posts" for n in (1, 2, 3)}
    assert ctx.report().evidence["parents"] == 3
    assert ctx.report().evidence["rows"] == 7
    assert ctx.report().evidence["stop_reasons"] == {"empty_page": 3}


def test_parents_are_asked_for_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=60)

    def answer(hit: Hit) -> Reply:
        if "page" not in hit.query or hit.query["page"] == "1":
            together.wait()  # breaks, and answers nothing, unless all three are on their way
        return posts(hit)

    frame, _, _ = children(tmp_path, answer, concurrency=3)
    assert frame.height == 7


def test_columns_of_the_parent_under_other_names(tmp_path: Path) -> None:
    frame, _, _ = children(tmp_path, for_each={**CHILD["for_each"], "include": {"name": "author", "id": "user"}})
    assert frame.columns == ["post", "author", "user"]
    assert frame["user"].to_list() == [3, 3, 1, 1, 1, 1, 1]


def test_a_name_that_the_records_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="already have a column 'post'") as caught:
        children(tmp_path, for_each={**CHILD["for_each"], "include": {"name": "post"}})
    assert caught.value.details["field"] == "for_each.include"


def test_fields_are_quoted_in_the_path_and_in_parameters(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply.json([{"target": hit.target, "team": hit.query["team"]}])

    frame, _, _ = children(
        tmp_path, answer, endpoint="/teams/{team}?x={id}", params={"team": "{team}", "kind": "{other}"},
        for_each={"collector": "users", "fields": {"team": "team", "id": "id"}}, pagination="none",
    )  # fmt: skip
    assert frame["team"].to_list() == ["a/b", "c d", "ü"]
    assert [t.split("?")[0] for t in frame["target"]] == ["/teams/a%2Fb", "/teams/c%20d", "/teams/%C3%BC"]
    assert "x=3" in frame["target"][0]
    assert "kind=%7Bother%7D" in frame["target"][0]


@pytest.mark.parametrize("value", [".", ".."])
def test_a_parent_cannot_lead_to_another_address(tmp_path: Path, value: str) -> None:
    with pytest.raises(errors.Permanent, match="cannot stand for") as caught:
        children(tmp_path, parents=pl.DataFrame({"id": [value], "name": ["x"]}))
    assert caught.value.details["field"] == "for_each.fields.id"


def test_what_a_parent_says_is_no_secret_and_no_place(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply.json([{"q": hit.query["q"]}])

    frame, _, _ = children(
        tmp_path, answer, pl.DataFrame({"id": ["${TOKEN}", "{id}"], "name": ["x", "y"]}), endpoint="/search",
        params={"q": "{id}"}, pagination="none",
    )  # fmt: skip
    assert frame["q"].to_list() == ["${TOKEN}", "{id}"]


def test_parents_without_a_key_are_left_out_and_said(tmp_path: Path) -> None:
    parents = pl.DataFrame({"id": ["1", None, ""], "name": ["Ann", "Bob", "Cem"]})
    frame, ctx, _ = children(tmp_path, parents=parents)
    assert frame.height == 5
    assert [(w.code, w.message.split()[0]) for w in ctx.report().warnings] == [("parent_without_key", "2")]


def test_every_parent_without_a_key_is_counted(tmp_path: Path) -> None:
    parents = pl.DataFrame({"id": [1, None, None], "name": ["Ann", "Bob", "Cem"]})
    _, ctx, _ = children(tmp_path, parents=parents)
    assert [w.message[:23] for w in ctx.report().warnings] == ["2 parents have no value"]


def test_no_parents_is_no_records(tmp_path: Path) -> None:
    frame, ctx, site = children(tmp_path, parents=USERS.clear())
    assert frame.height == 0
    assert site.hits == []
    assert ctx.report().evidence["stop_reason"] == "no_parents"


def gone(hit: Hit) -> Reply:
    return Reply(status=404) if hit.path == "/users/1/posts" else posts(hit)


def test_a_list_that_is_not_there_fails(tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match=r"users/1/posts.*404"):
        children(tmp_path, gone)


def test_or_is_left_out(tmp_path: Path) -> None:
    frame, ctx, _ = children(tmp_path, gone, for_each={**CHILD["for_each"], "on_missing": "skip"})
    assert frame["post"].to_list() == [300, 301]
    assert [w.code for w in ctx.report().warnings] == ["list_missing"]
    assert ctx.report().evidence["stop_reasons"] == {"empty_page": 2, "missing": 1}


def test_a_shortfall_names_the_parent(tmp_path: Path) -> None:
    def short(hit: Hit) -> Reply:
        return Reply.json({"items": [{"post": 1}] if hit.query["page"] == "1" else [], "total": 2})

    config: dict[str, Any] = {"pagination": {"type": "page", "total_path": "total"}}
    with pytest.raises(errors.Permanent, match="2 records of id 3 and sent 1"):
        children(tmp_path, short, completeness="strict", **config)


def test_a_sample_asks_for_no_more_than_it_needs(tmp_path: Path) -> None:
    with serving(posts) as site:
        ctx = context(tmp_path, parents=USERS.lazy(), wanted_rows=2, base=(site.address,))
        assert rows({**CHILD, "pagination": "page"}, ctx).height == 2
        assert len(site.hits) == 1


def test_a_cursor_for_every_parent(tmp_path: Path) -> None:
    events = {1: [{"at": 1, "n": 1}], 2: [{"at": 50, "n": 1}]}

    def answer(hit: Hit) -> Reply:
        since = int(hit.query.get("since", 0))
        return Reply.json([e for e in events[int(hit.path.split("/")[2])] if e["at"] >= since])

    runs, parents = Runs(tmp_path), pl.DataFrame({"id": [1, 2]}).lazy()
    with serving(answer) as site:
        config = {
            "endpoint": f"{site.address}/users/{{id}}/posts", "for_each": {**CHILD["for_each"], "include": {"id": "u"}},
            "incremental": SINCE, "primary_key": "n",
        }  # fmt: skip
        runs.run(config, parents=parents)
        events[1].append({"at": 2, "n": 2})
        events[2].append({"at": 51, "n": 2})
        events[3] = [{"at": 7, "n": 1}]
        site.hits.clear()
        frame, ctx = runs.run(config, parents=pl.DataFrame({"id": [1, 2, 3]}).lazy())
        assert [h.query.get("since") for h in site.hits] == ["1", "50", None]
    found = sorted(frame.select("u", "n", "at").rows())
    assert found == [(1, 1, 1), (1, 2, 2), (2, 1, 50), (2, 2, 51), (3, 1, 7)]  # one key is another for another parent
    assert ctx.report().evidence["cursor_after"] == 51


def test_a_parent_that_changed_makes_no_record_twice(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    with serving(lambda hit: Reply.json([{"at": 1, "n": 1}])) as site:
        config = {**CHILD, "endpoint": f"{site.address}/users/{{id}}/posts", "incremental": SINCE}
        for name in ("Ann", "Anna"):
            frame, ctx = runs.run(config, parents=pl.DataFrame({"id": [1], "name": [name]}).lazy())
    assert frame.select("at", "n").rows() == [(1, 1)]
    assert ctx.report().evidence["added_rows"] == 0


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"endpoint": "http://{id}.example.com/x"}, "endpoint"),
        ({"endpoint": "//example.com/{id}"}, "endpoint"),
        ({"endpoint": "/users/{idd}/posts", "params": {"u": "{id}"}}, "endpoint"),
        ({"endpoint": "/users/posts"}, "for_each.fields.id"),
        (
            {"for_each": {"collector": "users", "fields": {"id": "id"}, "include": {"a": "x", "b": "x"}}},
            "for_each.include",
        ),
        ({"incremental": {**SINCE, "param": "q"}, "params": {"q": 1}}, "incremental.param"),
        ({"primary_key": "id"}, "primary_key"),
        ({"compress_body": True}, "compress_body"),
    ],
)
def test_settings_that_cannot_work(config: dict[str, Any], field: str) -> None:
    assert [p.field for p in collector(**{**CHILD, **config}).problems()] == [field]


def test_settings_that_can() -> None:
    assert list(collector(**CHILD, concurrency=4).problems()) == []
    assert ForEach(collector="users", fields={"id": "id"}, include=["a"]).taken == {"a": "users_a"}
