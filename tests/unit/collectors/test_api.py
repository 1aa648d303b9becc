"""The api collector against a real server on loopback."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.api import ApiCollector
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.api_source import PAGED, collector, failure, fetched, rows, shop
from tests.unit.network.site import Hit, Reply, context, serving


@pytest.mark.parametrize(
    "body",
    [
        [{"id": 1}, {"id": 2}],
        {"data": [{"id": 1}, {"id": 2}]},
        {"rows": [{"id": 1}, {"id": 2}], "tags": ["a"], "count": 2},
        {"included": [{"x": 1}], "items": [{"id": 1}, {"id": 2}]},
    ],
)
def test_finds_the_records_by_itself(body: Any, tmp_path: Path) -> None:
    frame, _, ctx = fetched(lambda hit: Reply.json(body), tmp_path)
    assert frame.rows() == [(1,), (2,)]
    assert ctx.report().warnings == ()


def test_follows_records_path_and_flattens(tmp_path: Path) -> None:
    body = {"data": {"items": [{"id": 1, "who": {"name": "A", "at": {"x": 2}}, "tags": ["p", "q"]}]}}
    frame, _, _ = fetched(lambda hit: Reply.json(body), tmp_path, records_path="data.items")
    assert frame.to_dicts() == [{"id": 1, "tags": ["p", "q"], "who_name": "A", "who_at_x": 2}] or frame.to_dicts() == [
        {"id": 1, "who_name": "A", "who_at_x": 2, "tags": ["p", "q"]}
    ]
    nested, _, _ = fetched(lambda hit: Reply.json(body), tmp_path, records_path="data.items", flatten=False)
    assert nested["who"].to_list() == [{"name": "A", "at": {"x": 2}}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>hello</html>", "the answer is an HTML page, not JSON"),
        (b"", "is empty"),
        (b'{"a": 1}', "no array of objects"),
        (b'{"xs": [{"a": 1}], "ys": [{"a": 1}]}', "several arrays (xs, ys)"),
        (b"[1, 2]", "record 0 is a number"),
        (b'[{"a": 1}, null]', "record 1 is null"),
        (b'"text"', "neither an array nor an object"),
        (b'{"data": [{"a": 1}', "not valid JSON"),
        (b'[{"a": 1e999}, {"a": {"b": tru}}]', "not valid JSON"),
        (b'[{"a":' * 60 + b"1" + b"}]" * 60, "deep"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[{}, {}]", "no fields"),
    ],
)
def test_says_what_is_wrong_with_an_answer(body: bytes, said: str, tmp_path: Path) -> None:
    error = failure(lambda hit: Reply(body, headers={"content-type": "text/html"}), tmp_path)
    assert isinstance(error, errors.Permanent)
    assert said in error.message


@pytest.mark.parametrize("kind", ["page", "offset", "link_header"])
@pytest.mark.parametrize("total", [True, False])
def test_collects_every_page(kind: str, total: bool, tmp_path: Path) -> None:
    records = [{"id": i, "name": f"n{i}"} for i in range(95)]
    config: dict[str, Any] = {"type": kind}
    if total and kind != "link_header":
        config["total_path"] = "meta.total"
    frame, site, ctx = fetched(shop(records, total=total), tmp_path, pagination=config)
    assert frame["id"].to_list() == list(range(95))
    assert ctx.report().warnings == ()
    assert len(site.hits) == (10 if "total_path" in config or kind == "link_header" else 11)


def test_takes_the_name_of_a_pagination_alone(tmp_path: Path) -> None:
    frame, _, _ = fetched(shop([{"id": i} for i in range(25)]), tmp_path, pagination="page")
    assert len(frame) == 25
    single, site, _ = fetched(shop([{"id": i} for i in range(25)]), tmp_path, pagination="none")
    assert (len(single), len(site.hits)) == (10, 1)


def test_a_short_page_is_not_the_last_unless_the_total_says_so(tmp_path: Path) -> None:
    records = [{"id": i} for i in range(12)]
    _, site, _ = fetched(shop(records), tmp_path, pagination=PAGED)
    assert len(site.hits) == 3  # a short page may just be short; only an empty one is the end
    capped = shop(records, total=True, cap=5)  # gives fewer than asked for
    frame, site, _ = fetched(capped, tmp_path, pagination={"type": "offset", "limit": 10, "total_path": "meta.total"})
    assert frame["id"].to_list() == list(range(12))


def test_ends_at_max_pages(tmp_path: Path) -> None:
    frame, site, _ = fetched(shop([{"id": i} for i in range(95)]), tmp_path, pagination={**PAGED, "max_pages": 3})
    assert (len(frame), len(site.hits)) == (30, 3)


def test_a_repeated_page_ends_with_a_warning(tmp_path: Path) -> None:
    frame, site, ctx = fetched(lambda hit: Reply.json([{"id": 1}]), tmp_path, pagination="page")
    assert (len(frame), len(site.hits)) == (1, 2)
    assert [w.code for w in ctx.report().warnings] == ["page_repeated"]


def test_empty_pages_that_link_to_each_other_end(tmp_path: Path) -> None:
    def ring(hit: Hit) -> Reply:
        other = 3 - int(hit.query.get("page", 1))
        return Reply.json([], Link=f'</orders?page={other}>; rel="next"')

    frame, site, ctx = fetched(ring, tmp_path, pagination="link_header")
    assert len(frame) == 0
    assert len(site.hits) <= 4
    assert ctx.report().warnings[0].code == "empty_pages"


def test_a_total_that_differs_is_a_warning(tmp_path: Path) -> None:
    def lying(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json({"items": [{"id": page}] if page < 3 else [], "total": "7"})

    frame, _, ctx = fetched(lying, tmp_path, pagination={"type": "page", "total_path": "total"})
    assert len(frame) == 2
    assert [w.code for w in ctx.report().warnings] == ["total_differs"]


def test_no_records_at_all(tmp_path: Path) -> None:
    frame, _, _ = fetched(lambda hit: Reply.json([]), tmp_path, schema={"id": "int64"})
    assert frame.schema == {"id": pl.Int64}
    assert len(frame) == 0


def test_types_are_united_over_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.http_api.page_batches.BATCH_BYTES", 1)  # every page its own part
    pages = [
        [{"n": 1, "t": None, "m": 1, "l": [1], "o": {"x": 1}}],
        [{"n": 1.5, "t": "x", "m": "a", "l": [], "o": None}],
        [{"n": None, "new": True, "m": {"deep": 1}, "l": ["s"], "o": {"y": "z"}}],
    ]

    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json(pages[page - 1] if page <= 3 else [])

    frame, _, _ = fetched(answer, tmp_path, pagination="page", flatten=False)
    assert frame.schema["n"] == pl.Float64
    assert frame["n"].to_list() == [1.0, 1.5, None]
    assert frame["t"].to_list() == [None, "x", None]
    assert frame["m"].to_list() == ["1", "a", '{"deep":1}']
    assert frame["l"].to_list() == [["1"], [], ["s"]]
    assert frame["o"].to_list() == [{"x": 1, "y": None}, None, {"x": None, "y": "z"}]
    assert frame["new"].to_list() == [None, None, True]
    flat, _, _ = fetched(answer, tmp_path, pagination="page")
    assert "o" not in flat.columns
    assert flat["o_x"].to_list() == [1, None, None]


@pytest.mark.parametrize("body", [[], [{"x": 1}, {"x": 2}]])
@pytest.mark.parametrize("settings", [{"columns": ["a", "b"]}, {"schema": {"a": "int64"}, "columns": ["a"]}])
def test_columns_that_never_came_make_no_row_and_lose_none(tmp_path: Path, body: Any, settings: Any) -> None:
    frame, _, ctx = fetched(lambda hit: Reply.json(body), tmp_path, **settings)
    assert frame.columns == settings["columns"]
    assert frame.rows() == [(None,) * frame.width] * len(body)
    assert {w.code for w in ctx.report().warnings} == {"missing_column"}


def test_schema_sets_types(tmp_path: Path) -> None:
    body = [{"id": "1", "at": "2024-05-01T10:00:00Z", "price": 1}]
    frame, _, ctx = fetched(
        lambda hit: Reply.json(body), tmp_path,
        schema={"id": "int64", "at": "datetime[UTC]", "price": "decimal(10,2)", "gone": "date"},
    )  # fmt: skip
    assert frame.schema["id"] == pl.Int64
    assert str(frame["at"][0]) == "2024-05-01 10:00:00+00:00"
    assert [w.code for w in ctx.report().warnings] == ["missing_column"]


def test_sends_what_is_configured(tmp_path: Path) -> None:
    _, site, _ = fetched(
        lambda hit: Reply.json([]), tmp_path, method="POST", body={"q": "${TOKEN}"}, headers={"X-A": "b"},
        params={"flag": True, "ids": [1, 2], "s": "a b&c"},
        auth={"type": "basic", "username": "me", "password": "${TOKEN}"},
    )  # fmt: skip
    (hit,) = site.hits
    assert hit.method == "POST"
    assert json.loads(hit.body) == {"q": "s3cret-token"}
    assert hit.target == "/orders?flag=true&ids=1&ids=2&s=a+b%26c"
    assert hit.headers["x-a"] == "b"
    assert base64.b64decode(hit.headers["authorization"].split()[1]) == b"me:s3cret-token"


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "bearer", "token": "${TOKEN}"}, lambda h: h.headers.get("authorization") == "Bearer s3cret-token"),
        ({"type": "api_key", "key": "${TOKEN}", "name": "X-K"}, lambda h: h.headers.get("x-k") == "s3cret-token"),
        (
            {"type": "api_key", "key": "${TOKEN}", "name": "k", "location": "query"},
            lambda h: h.query.get("k") == "s3cret-token",
        ),
    ],
)
def test_credentials_stay_at_home(auth: dict[str, str], sent: Callable[[Hit], bool], tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json([{"id": 2}])) as other:
        link = f'<{other.address}/next>; rel="next"'
        _, site, _ = fetched(
            lambda hit: Reply.json([{"id": 1}], Link=link), tmp_path, auth=auth, headers={"X-Mine": "1"},
            pagination="link_header",
        )  # fmt: skip
        assert [sent(h) for h in site.hits] == [True]
        assert [sent(h) for h in other.hits] == [False]
        assert "x-mine" not in other.hits[0].headers


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    error = failure(
        lambda hit: Reply(b"bad key s3cret-token", status=401), tmp_path,
        auth={"type": "api_key", "key": "${TOKEN}", "name": "k", "location": "query"},
    )  # fmt: skip
    assert "401" in error.message
    assert "s3cret" not in str(error.as_body())


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"endpoint": "ftp://x/y"}, "endpoint"),
        ({"endpoint": "http://me:pw@x/y"}, "endpoint"),
        ({"endpoint": "http:///y"}, "endpoint"),
        ({"endpoint": "https://x", "body": {}}, "body"),
        ({"endpoint": "https://x", "headers": {"Host": "y"}}, "headers.Host"),
        ({"endpoint": "https://x", "headers": {"X-A": "y\r\nZ: 1"}}, "headers.X-A"),
        ({"endpoint": "https://x", "schema": {"a": "int65"}}, "schema.a"),
        ({"endpoint": "https://x", "pagination": {"type": "page", "size_param": "n"}}, "pagination.size"),
        ({"endpoint": "https://x", "pagination": {"type": "cursor"}}, "pagination.cursor_path"),
        ({"endpoint": "https://x", "pagination": {"type": "page", "in": "body"}}, "pagination.in"),
        ({"endpoint": "https://x", "pagination": {"type": "page", "in": "path"}}, "pagination.in"),
        ({"endpoint": "https://x", "pagination": {"type": "page", "in": {"pg": "body"}}}, "pagination.in.pg"),
        (
            {"endpoint": "https://x", "pagination": {"type": "page", "in": "header", "page_param": "a b"}},
            "pagination.in",
        ),
        ({"endpoint": "https://x", "separator": ";"}, "separator"),
        ({"endpoint": "https://x", "encoding": "latin-9000"}, "encoding"),
        ({"endpoint": "https://x", "response_format": "csv", "decimal_comma": True}, "decimal_comma"),
    ],
)
def test_problems_are_found_before_any_request(config: dict[str, Any], field: str) -> None:
    assert [p.field for p in collector(**config).problems()] == [field]


@pytest.mark.parametrize(
    "config",
    [
        {"auth": {"type": "oauth2_client_credentials"}},
        {"pagination": "cursor"},
        {"concurrency": 0},
        {"response_format": "xml"},
        {"incremental": {"cursor_field": "id"}},
        {"incremental": {"cursor_field": "id", "param": "since", "lookback": -1}},
        {"for_each": {"collector": "users", "fields": {}}},
        {"method": "PUT"},
        {"retry": {"max_attempts": 0}},
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        collector(endpoint="https://x", **config)


def test_the_example_is_valid() -> None:
    assert list(msgspec.convert(ApiCollector.EXAMPLE, ApiCollector).problems()) == []


VALUES = st.one_of(
    st.none(), st.integers(-(2**53), 2**53), st.text(max_size=5), st.booleans(), st.lists(st.integers(0, 9), max_size=2)
)


@examples(15)
@given(
    values=st.lists(VALUES, max_size=40),
    size=st.integers(1, 12),
    kind=st.sampled_from(["page", "offset", "link_header", "page+total", "offset+total"]),
)
def test_any_records_in_any_pages_arrive_as_they_are(values: list[Any], size: int, kind: str) -> None:
    records = [{"id": i, "v": v} for i, v in enumerate(values)]
    name, _, total = kind.partition("+")
    config: dict[str, Any] = {"type": name}
    if total:
        config["total_path"] = "meta.total"
    if name == "page":
        config.update(size_param="size", size=size)
    if name == "offset":
        config.update(limit=size)
    with tempfile.TemporaryDirectory() as folder, serving(shop(records, total=bool(total))) as site:
        ctx = context(Path(folder))
        frame = rows({"endpoint": f"{site.address}/orders?size={size}", "pagination": config}, ctx)
    assert ctx.report().rows == len(frame) == len(records)
    assert {w.code for w in ctx.report().warnings} <= {"mixed_types"}
    if records:
        assert frame["id"].to_list() == list(range(len(records)))
        told = frame["v"].to_list()
        if isinstance(frame.schema["v"], pl.List):  # single values are lists of one beside lists
            values = [v if v is None or isinstance(v, list) else [v] for v in values]
            assert [v and len(v) for v in told] == [v and len(v) for v in values]
            told, values = ([e for v in lists if v is not None for e in v] for lists in (told, values))
        if frame.schema["v"] in (pl.String, pl.List(pl.String)):  # contradicting values are told as JSON text
            told = [t if v is None or isinstance(v, str) else json.loads(t) for t, v in zip(told, values, strict=True)]
        assert told == values
