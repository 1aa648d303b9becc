"""Runs whose cursor does not sort as text, or was set by a record that is out of line: no record is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.collectors.http_api import cursor_times
from service.kit import errors
from tests.unit.collectors.api_source import collector
from tests.unit.collectors.http_api.incremental_runs import SINCE, Runs, at, source
from tests.unit.network.site import Hit, Reply, serving


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.mark.parametrize("key", [{}, {"primary_key": "id"}])
def test_dates_that_do_not_sort_lose_nothing_with_their_format(runs: Runs, key: dict[str, str], tmp_path: Path) -> None:
    records = [{"id": 1, "at": "03/01/2024"}, {"id": 2, "at": "02/15/2025"}]
    incremental = {**SINCE, "cursor_format": "%m/%d/%Y"}
    with serving(lambda hit: Reply.json({"items": records})) as site:
        config = at(site.address, pagination="none", incremental=incremental, **key)
        _, ctx = runs.run(config)
        assert ctx.report().evidence["cursor_after"] == "02/15/2025"
        records.append({"id": 3, "at": "01/10/2026"})
        rows, ctx = runs.run(config)
        assert site.hits[-1].query["since"] == "02/15/2025"
        assert ctx.report().evidence["cursor_after"] == "01/10/2026"
        (tmp_path / "other").mkdir()
        with pytest.raises(errors.Permanent, match="does not sort as text; set cursor_format"):
            Runs(tmp_path / "other").run(at(site.address, pagination="none"))
    assert rows["id"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("cursors", [("Jan 2024", "Feb 2024"), ("2024 Jan", "2024 Feb"), ("2024-W9", "2024-W10")])
def test_text_that_does_not_sort_is_refused_at_first_sight(runs: Runs, cursors: tuple[str, str]) -> None:
    records = [{"id": n, "at": at} for n, at in enumerate(cursors)]
    with serving(source(records)) as site, pytest.raises(errors.Permanent, match="cannot be a cursor"):
        runs.run(at(site.address))


@pytest.mark.parametrize("key", [{}, {"primary_key": "id"}])
def test_a_record_from_the_future_hides_no_other(runs: Runs, key: dict[str, str]) -> None:
    records = [{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": "2099-12-31"}]
    with serving(source(records)) as site:
        _, ctx = runs.run(at(site.address, **key))
        assert ctx.report().evidence["cursor_after"] == "2024-01-01"
        assert [w.code for w in ctx.report().warnings] == ["future_cursor"]
        records += [{"id": 3, "at": "2024-02-01"}]
        rows, _ = runs.run(at(site.address, **key))
        assert {hit.query.get("since") for hit in site.hits[-2:]} == {"2024-01-01"}
    assert sorted(rows["id"]) == [1, 2, 3]


@pytest.mark.parametrize("key", [{}, {"primary_key": "id"}])
def test_a_record_before_the_cursor_is_kept(runs: Runs, key: dict[str, str]) -> None:
    records = [{"id": n, "at": n} for n in (5, 9)]
    with serving(lambda hit: Reply.json(records)) as site:
        config = at(site.address, pagination="none", **key)
        runs.run(config)
        records.append({"id": 7, "at": 7})
        rows, ctx = runs.run(config)
        assert [w.code for w in ctx.report().warnings] == ["older_records"]
        again, _ = runs.run(config)
    assert rows["id"].to_list() == again["id"].to_list() == [5, 9, 7]


PAST, LATER, FUTURE = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2024, 2025, 2099))


@pytest.mark.parametrize("key", [{}, {"primary_key": "id"}])
@pytest.mark.parametrize("field", ["updated_at", "ts", "modifiedOn", "stamp"])
@pytest.mark.parametrize("ticks", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, str])
def test_an_epoch_from_the_future_hides_no_other(
    runs: Runs, key: dict[str, str], field: str, ticks: int, kind: Any
) -> None:
    def record(number: int, moment: int) -> dict[str, Any]:
        return {"id": number, field: kind(moment * ticks)}

    records = [record(1, PAST), record(2, FUTURE)]
    with serving(source(records, field=field)) as site:
        config = at(site.address, incremental={"cursor_field": field, "param": "since"}, **key)
        _, ctx = runs.run(config)
        assert str(ctx.report().evidence["cursor_after"]) == str(PAST * ticks)
        assert [w.code for w in ctx.report().warnings] == ["future_cursor"]
        records.append(record(3, LATER))
        rows, _ = runs.run(config)
        assert {hit.query.get("since") for hit in site.hits[-2:]} == {str(PAST * ticks)}
    assert sorted(rows["id"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("column", "values"),
    [("id", [PAST, FUTURE]), ("orderId", [PAST, FUTURE]), ("seq", [PAST, FUTURE]), ("at", [5, 9]), ("n", [7, FUTURE]),
     ("tweet_id", [1_750_000_000_000_000_000, 2_750_000_000_000_000_000])],
)  # fmt: skip
def test_numbers_that_are_not_times_have_no_future(runs: Runs, column: str, values: list[int]) -> None:
    since = {"cursor_field": column, "param": "since"}
    with serving(lambda hit: Reply.json([{column: v} for v in values])) as site:
        _, ctx = runs.run(at(site.address, pagination="none", incremental=since))
    assert ctx.report().evidence["cursor_after"] == max(values)
    assert ctx.report().warnings == ()


def test_a_clock_that_is_a_little_ahead_is_not_the_future() -> None:
    now = datetime(2026, 11, 29, 18, tzinfo=UTC)
    assert cursor_times.latest("at", "integer", now.timestamp(), now) == now.timestamp() + 86_400
    assert cursor_times.latest("at", "text", None, now) is None


PLACES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "query": ("since", {}, lambda hit: hit.query.get("since")),
    "header": ("X-Since", {}, lambda hit: hit.headers.get("x-since")),
    "path": ("since", {}, lambda hit: hit.path.split("/events/")[1] if "/events/" in hit.path else None),
    "body": (
        "filters.0.value", {"method": "POST", "body": {"filters": [{"name": "at"}]}},
        lambda hit: json.loads(hit.body)["filters"][0].get("value"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("linked", [False, True])
def test_the_cursor_goes_where_the_source_takes_it(runs: Runs, where: str, linked: bool) -> None:
    param, request, find = PLACES[where]
    records = [{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": "2024-01-02"}]

    def answer(hit: Hit) -> Reply:
        since = find(hit) or ""
        found, page = [r for r in records if str(r["at"]) >= since], int(hit.query.get("page", 1))
        more = hit.target.partition("?")[0] + f"?page={page + 1}&since={since}" if page < len(found) else None
        return Reply.json({"items": found[page - 1 : page], "next": more})

    with serving(answer) as site:
        pages = {"type": "next_url", "next_path": "next"} if linked else "page"
        config = at(
            site.address, pagination=pages, **request,
            incremental={"cursor_field": "at", "param": param, "in": where, "initial": "2024-01-01"},
        )  # fmt: skip
        config["endpoint"] += "/{since}" if where == "path" else ""
        runs.run(config)
        records.append({"id": 3, "at": "2024-01-03"})
        before = len(site.hits)
        rows, ctx = runs.run(config)
        assert {find(hit) for hit in site.hits[:before]} == {"2024-01-01"}
        assert {find(hit) for hit in site.hits[before:]} == {"2024-01-02"}
    assert rows["id"].to_list() == [1, 2, 3]
    assert ctx.report().warnings == ()


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"incremental": {**SINCE, "in": "body"}}, "incremental.in"),
        ({"incremental": {**SINCE, "in": "path"}}, "incremental.in"),
        ({"incremental": {**SINCE, "in": "header", "param": "Host"}}, "incremental.in"),
        ({"incremental": {**SINCE, "param": "page"}, "pagination": "page"}, "incremental.param"),
        ({"incremental": SINCE, "params": {"since": "1"}}, "incremental.param"),
    ],
)
def test_a_place_that_is_not_there_is_refused(config: dict[str, Any], field: str) -> None:
    problems = collector(endpoint="http://x.example/events", **config).problems()
    assert [p.field for p in problems] == [field]


def test_a_state_of_an_earlier_release_is_used(runs: Runs) -> None:
    """It has no location of the parameter, which was the query."""
    with serving(source([{"id": 1, "at": "2024-01-01"}])) as site:
        runs.run(at(site.address))
        assert runs.earlier is not None
        asked = json.loads((runs.earlier / "state.json").read_bytes())["asked"]
    assert "in" not in asked["incremental"]
