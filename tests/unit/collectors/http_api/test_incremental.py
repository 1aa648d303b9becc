"""Incremental collecting: versions are what one fetch of everything would give, whatever came when."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.http_api.incremental import Incremental, keys, newest, order_of
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.http_api.incremental_runs import SINCE, Runs, at, source
from tests.unit.network.site import Hit, Reply, context, serving

CURSORS = ("cursor_before", "cursor_after")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_only_what_is_new_is_asked_for_and_nothing_is_lost_or_twice(runs: Runs) -> None:
    records = [{"id": n, "at": f"2024-01-0{n}"} for n in (1, 2, 3)]
    with serving(source(records)) as site:
        first, ctx = runs.run(at(site.address))
        assert first["id"].to_list() == [1, 2, 3]
        assert [ctx.report().evidence[n] for n in ("cursor_before", "cursor_after", "added_rows")] == [
            None,
            "2024-01-03",
            3,
        ]
        assert "since" not in site.hits[0].query
        records += [{"id": 4, "at": "2024-01-03"}, {"id": 5, "at": "2024-01-05"}]
        site.hits.clear()
        second, ctx = runs.run(at(site.address))
        assert {h.query["since"] for h in site.hits} == {"2024-01-03"}
        assert second["id"].to_list() == [1, 2, 3, 4, 5]
        assert {n: ctx.report().evidence[n] for n in (*CURSORS, "known_rows", "added_rows", "rows")} == {
            "cursor_before": "2024-01-03", "cursor_after": "2024-01-05", "known_rows": 3, "added_rows": 2, "rows": 3,
        }  # fmt: skip
        third, ctx = runs.run(at(site.address))
        assert third.equals(second)
        assert ctx.report().evidence["added_rows"] == 0


def test_an_exclusive_boundary_loses_nothing(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in (1, 2, 3)]
    with serving(source(records, inclusive=False)) as site:
        runs.run(at(site.address))
        records.append({"id": 4, "at": 4})
        rows, _ = runs.run(at(site.address))
    assert rows["id"].to_list() == [1, 2, 3, 4]


def test_equal_records_are_kept_as_often_as_the_source_has_them(runs: Runs) -> None:
    records: list[dict[str, Any]] = [{"at": 1}, {"at": 2}, {"at": 2}]
    with serving(source(records)) as site:
        runs.run(at(site.address))
        records.append({"at": 2})
        rows, _ = runs.run(at(site.address))
        again, _ = runs.run(at(site.address))
    assert rows["at"].to_list() == again["at"].to_list() == [1, 2, 2, 2]


def test_a_changed_record_takes_the_place_of_the_one_with_its_key(runs: Runs) -> None:
    records = [{"id": n, "at": n, "state": "new"} for n in range(1, 6)]
    config = {"incremental": {**SINCE, "primary_key": "id"}}
    with serving(source(records)) as site:
        runs.run(at(site.address, **config))
        records[1] = {"id": 2, "at": 9, "state": "paid"}
        rows, ctx = runs.run(at(site.address, **config))
    assert rows["id"].to_list() == [1, 3, 4, 5, 2]
    assert rows["state"].to_list() == ["new"] * 4 + ["paid"]
    assert [ctx.report().evidence[n] for n in ("added_rows", "changed_rows", "known_rows")] == [0, 1, 5]


def test_lookback_asks_again_for_what_came_late(runs: Runs) -> None:
    records = [{"id": n, "at": f"2024-01-01T00:00:{n:02}Z"} for n in (10, 20, 30)]
    config = {"incremental": {**SINCE, "lookback": 15}, "primary_key": ["id"]}
    with serving(source(records)) as site:
        runs.run(at(site.address, **config))
        records.append({"id": 99, "at": "2024-01-01T00:00:16Z"})
        site.hits.clear()
        rows, _ = runs.run(at(site.address, **config))
        assert site.hits[0].query["since"] == "2024-01-01T00:00:15Z"
    assert rows["id"].to_list() == [10, 20, 30, 99]


def test_the_first_run_begins_at_initial(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in range(10)]
    with serving(source(records)) as site:
        rows, _ = runs.run(at(site.address, incremental={**SINCE, "initial": 7}))
    assert rows["id"].to_list() == [7, 8, 9]


def test_a_source_that_ignores_the_parameter_gives_no_row_twice(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in range(10)]

    def deaf(hit: Hit) -> Reply:
        page = int(hit.query.get("page", 1))
        return Reply.json(records[(page - 1) * 4 : page * 4])

    with serving(deaf) as site:
        runs.run(at(site.address))
        records.append({"id": 10, "at": 10})
        rows, ctx = runs.run(at(site.address))
    assert rows["id"].to_list() == list(range(11))
    assert [w.code for w in ctx.report().warnings] == ["older_records"]


def test_a_run_that_was_not_committed_changes_nothing(runs: Runs) -> None:
    records = [{"id": 1, "at": 1}]
    with serving(source(records)) as site:
        runs.run(at(site.address))
        records.append({"id": 2, "at": 2})
        lost, _ = runs.run(at(site.address), commit=False)
        records.append({"id": 3, "at": 3})
        rows, ctx = runs.run(at(site.address))
    assert lost["id"].to_list() == [1, 2]
    assert rows["id"].to_list() == [1, 2, 3]
    assert ctx.report().evidence["cursor_before"] == 1


def test_other_settings_begin_anew(runs: Runs) -> None:
    records = [{"id": 1, "at": 1}]
    with serving(source(records)) as site:
        runs.run(at(site.address))
        rows, ctx = runs.run(at(site.address, params={"shop": "other"}))
        assert "since" not in site.hits[-1].query
    assert rows["id"].to_list() == [1]
    assert [w.code for w in ctx.report().warnings] == ["starts_again"]
    assert ctx.report().warnings[0].details == {"changed": ["params"]}


def test_a_longer_lookback_forgets_nothing(runs: Runs) -> None:
    with serving(source(records := [{"id": 1, "at": 1}, {"id": 2, "at": 9}])) as site:
        runs.run(at(site.address))
        del records[0]  # the source keeps no old ones
        rows, ctx = runs.run(at(site.address, incremental={**SINCE, "lookback": 5}))
    assert (site.hits[-1].query["since"], rows["id"].to_list(), ctx.report().warnings) == ("4", [1, 2], ())


def test_the_cursor_waits_where_newest_come_first_and_not_all_were_read(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in range(20)]

    def newest_first(hit: Hit) -> Reply:
        since, page = int(hit.query.get("since", -1)), int(hit.query.get("page", 1))
        found = [r for r in reversed(records) if r["at"] >= since]
        return Reply.json(found[(page - 1) * 5 : page * 5])

    with serving(newest_first) as site:
        _, ctx = runs.run(at(site.address, pagination={"type": "page", "max_pages": 2}))
        assert "cursor_held" in [w.code for w in ctx.report().warnings]
        assert ctx.report().evidence["cursor_after"] is None
        rows, _ = runs.run(at(site.address))
    assert sorted(rows["id"]) == list(range(20))


def test_a_limited_number_of_pages_goes_on_where_it_ended(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in range(20)]
    config = at("", pagination={"type": "page", "max_pages": 2})
    seen = []
    with serving(source(records)) as site:
        for _ in range(5):
            rows, _ = runs.run({**config, "endpoint": site.address + "/events"})
            seen.append(rows.height)
    assert seen == [6, 11, 16, 20, 20]
    assert rows["id"].to_list() == list(range(20))


def test_types_and_columns_unite_with_those_of_before(runs: Runs) -> None:
    records: list[dict[str, Any]] = [{"id": 1, "at": 1, "n": 5}]
    with serving(source(records)) as site:
        runs.run(at(site.address))
        records.append({"id": 2, "at": 2, "n": 1.5, "deep": {"x": [1]}})
        rows, _ = runs.run(at(site.address))
    assert rows.to_dict(as_series=False) == {"id": [1, 2], "at": [1, 2], "n": [5.0, 1.5], "deep_x": [None, [1]]}


@pytest.mark.parametrize("later", [{"deep_x": 9}, {"deep": {"x": 9}, "deep_y": None}])
@pytest.mark.parametrize("size", [1000, 1])
def test_a_name_that_two_keys_give_in_two_runs_is_refused(later: dict[str, Any], size: int, runs: Runs) -> None:
    """The keys of a column are known to later runs, also where parts were written anew or put together."""
    records: list[dict[str, Any]] = [{"id": n, "at": n, "deep": {"x": n, "y": 0}} for n in range(4)]
    with serving(source(records, size=size)) as site:
        config = at(site.address, primary_key="id")
        runs.run(config)
        records[3] = {"id": 3, "at": 5, "deep": {"x": 7, "y": 0}}
        rows, _ = runs.run(config)
        assert rows["deep_x"].to_list() == [0, 1, 2, 7]
        records.append({"id": 9, "at": 9, **later})
        with pytest.raises(errors.StepError) as caught:
            runs.run(config)
    name = "deep_y" if "deep_y" in later else "deep_x"
    assert f"'{name}' ({name.replace('_', '.')} and {name}); set flatten to false" in caught.value.message


def test_an_object_that_is_null_in_later_runs_has_no_column(runs: Runs) -> None:
    records: list[dict[str, Any]] = [{"id": 1, "at": 1, "deep": {"x": 1}}]
    with serving(source(records)) as site:
        runs.run(at(site.address))
        records.append({"id": 2, "at": 2, "deep": None})
        rows, _ = runs.run(at(site.address))
    assert rows.to_dict(as_series=False) == {"id": [1, 2], "at": [1, 2], "deep_x": [1, None]}


def test_pages_of_csv(runs: Runs) -> None:
    records = [{"id": n, "at": n} for n in (1, 2)]

    def answer(hit: Hit) -> Reply:
        since = int(hit.query.get("since", 0))
        found = [r for r in records if r["at"] >= since] if hit.query.get("page", "1") == "1" else []
        return Reply(("id,at\n" + "".join(f"{r['id']},{r['at']}\n" for r in found)).encode())

    with serving(answer) as site:
        runs.run(at(site.address, response_format="csv"))
        records.append({"id": 3, "at": 10})
        rows, _ = runs.run(at(site.address, response_format="csv"))
    assert rows.to_dict(as_series=False) == {"id": [1, 2, 3], "at": [1, 2, 10]}


def test_many_runs_make_no_heap_of_files(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.http_api.merge._MOST_PARTS", 4)
    records: list[dict[str, Any]] = []
    with serving(source(records, size=1000)) as site:
        for n in range(15):
            records.append({"id": n, "at": n})
            rows, ctx = runs.run(at(site.address, pagination="none"))
    assert rows["id"].to_list() == list(range(15))
    assert ctx.state is not None
    assert len(list(ctx.state.folder.iterdir())) <= 6


@pytest.mark.parametrize(
    ("records", "config", "field", "said"),
    [
        ([{"id": 1}], {}, "incremental.cursor_field", "no record has 'at'"),
        ([{"at": [1]}], {}, "incremental.cursor_field", "list"),
        (
            [{"at": "b"}, {"at": "a"}],
            {"incremental": {**SINCE, "lookback": 5}},
            "incremental.lookback",
            "a number or a time",
        ),
        ([{"at": 1}], {"primary_key": "id"}, "primary_key", "no record has 'id'"),
    ],
)
def test_what_cannot_be(runs: Runs, records: list[Any], config: dict[str, Any], field: str, said: str) -> None:
    def thrice(address: str) -> None:
        for _ in range(3):
            runs.run(at(address, pagination="none", **config))

    with serving(lambda hit: Reply.json(records)) as site, pytest.raises(errors.StepError) as caught:
        thrice(site.address)
    assert caught.value.details["field"] == field
    assert said in caught.value.message


@pytest.mark.parametrize("number", [1_234_567_890_123_456_870, "1234567890123456870"])
def test_lookback_is_exact_for_long_identifiers(number: int | str, tmp_path: Path) -> None:
    """A float has room for 53 bits: the number before …870 would be …768, and the one before another comes after it."""
    asked = Incremental(cursor_field="at", param="since", lookback=1.0).start(number, context(tmp_path))
    assert str(asked) == "1234567890123456869"
    assert type(asked) is type(number)


@pytest.mark.parametrize("cursor", ["20240131T101112Z", "2024-W05", "2024-W05-3"])
def test_lookback_refuses_forms_of_time_that_it_cannot_write(cursor: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="a number or a time"):
        Incremental(cursor_field="at", param="since", lookback=60.0).start(cursor, context(tmp_path))


CHANGES = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3)),
            st.tuples(st.just("touch"), st.integers(0, 30)),
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=5,
)


@examples(10)
@given(CHANGES, st.booleans(), st.integers(1, 4), st.sampled_from(["number", "text", "time"]))
def test_whatever_happens_a_version_has_what_the_source_has(
    changes: list[list[tuple[str, int]]], inclusive: bool, size: int, kind: str
) -> None:
    """The law: with a key, records that come and change (and their cursor grows) are all there, as they are."""
    clock, records = 0, list[dict[str, Any]]()

    def moment(n: int) -> Any:
        return {"number": n, "text": f"k{n:05}", "time": f"2024-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"}[
            kind
        ]

    with tempfile.TemporaryDirectory() as folder, serving(source(records, inclusive=inclusive, size=size)) as site:
        runs = Runs(Path(folder))
        for step in changes:
            for what, number in step:
                clock += number if inclusive and what == "add" else 1  # several of one moment need the boundary again
                if what == "add":
                    records.append({"id": len(records), "at": moment(clock), "v": clock})
                elif records:
                    records[number % len(records)] |= {"at": moment(clock + 1), "v": clock + 1}
                    clock += 1
            if not records:
                continue
            rows, ctx = runs.run(at(site.address, primary_key="id"))
            assert sorted(map(json.dumps, rows.to_dicts())) == sorted(map(json.dumps, records))
            assert ctx.report().evidence["rows"] <= len(records)


@examples(10)
@given(st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=5), st.booleans())
def test_without_a_key_every_record_is_there_as_often_as_the_source_has_it(growth: list[list[int]], late: bool) -> None:
    """The law for records that only come: equal ones, several of one moment, and (with lookback) late ones."""
    clock, records = 10, list[dict[str, Any]]()
    lookback = {"lookback": 2} if late else {}
    with tempfile.TemporaryDirectory() as folder, serving(source(records, size=1000)) as site:
        runs = Runs(Path(folder))
        for step in growth:
            for number in step:
                clock += number
                records.append({"at": clock - (number if late else 0)})
            if records:
                rows, _ = runs.run(at(site.address, pagination="none", incremental={**SINCE, **lookback}))
                assert sorted(rows["at"]) == sorted(r["at"] for r in records)


@pytest.mark.parametrize(
    ("cursor", "lookback", "start"),
    [
        (100, 5.0, 95),
        (100, 0.5, 99.5),
        (1.5, 0.5, 1.0),
        ("100", 5.0, "95"),
        ("100", 0.5, "99.5"),
        ("10.50", 0.3, "10.2"),
        ("1000", 100.0, "900"),  # not 9E+2
        ("2024-03-01", 86_400.0, "2024-02-29"),
        ("2024-03-01T00:00:00Z", 1.0, "2024-02-29T23:59:59Z"),
        ("2024-03-01 00:00:00", 1.0, "2024-02-29 23:59:59"),
        ("2024-03-01T00:00:00.000Z", 1.0, "2024-02-29T23:59:59.000Z"),
        ("2024-03-01T00:00:00.0000+01:00", 1.0, "2024-02-29T23:59:59.000000+01:00"),
        ("2024-03-01T00:00:00", 0.25, "2024-02-29T23:59:59.750000"),
    ],
)
def test_lookback_keeps_the_form_of_the_cursor(
    cursor: str | int | float, lookback: float, start: str | int | float, tmp_path: Path
) -> None:
    made = Incremental(cursor_field="at", param="since", lookback=lookback).start(cursor, context(tmp_path))
    assert (made, type(made)) == (start, type(start))


@pytest.mark.parametrize("cursor", ["abc", "0001-01-01"])
def test_there_is_nothing_before_some_cursors(cursor: str, tmp_path: Path) -> None:
    incremental = Incremental(cursor_field="at", param="since", lookback=86_400.0)
    with pytest.raises(errors.Permanent, match="nothing lies 86400 before"):
        incremental.start(cursor, context(tmp_path))


def test_a_cursor_that_is_no_number_is_never_the_greatest() -> None:
    assert newest(["2", "nan", "10.5"], "number") == "10.5"
    assert newest(["nan"], "number") is None


def test_an_order_is_one_that_the_cursors_before_have_too(tmp_path: Path) -> None:
    numbers, ctx = pl.LazyFrame({"at": ["1", "2"]}), context(tmp_path)
    assert order_of(numbers, "at", [], ctx) == order_of(numbers, "at", ["3"], ctx) == "integer"
    assert order_of(numbers, "at", ["2.5"], ctx) == "number"
    with pytest.raises(errors.Permanent, match="no common order"):
        order_of(numbers, "at", ["10", "b"], ctx)


def test_a_collector_s_own_key_goes_before_the_other() -> None:
    assert keys("id", ["other"]) == ["id"]
    assert keys(None, ["a", "b"]) == ["a", "b"]
    assert keys(None, None) == []
