"""Runs whose cursor does not sort as text, or was set by a record that is out of line: no record is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.kit import errors
from tests.unit.collectors.http_api.incremental_runs import SINCE, Runs, at, source
from tests.unit.network.site import Reply, serving


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
