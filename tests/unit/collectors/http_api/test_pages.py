"""How the api collector walks through pages: every kind, side by side, with evidence, and with a token that ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.collectors.http_api.authentication import AuthParts, ClientCredentials, Session
from service.kit import errors
from service.network.request import Request, Response
from tests.unit.collectors.api_source import PAGED, collector, failure, fetched, shop
from tests.unit.network.site import Answers, Hit, Reply, context, serving

RECORDS = [{"id": i} for i in range(25)]
IDS = list(range(25))


def linked(hit: Hit) -> Reply:
    """Pages of ten that name the next: as a cursor, a relative and an absolute URL; the last says null."""
    begin = int(hit.query.get("cursor", 0))
    more = begin + 10 < len(RECORDS)
    after = begin + 10 if more else None
    links = {
        "next": f"?cursor={after}" if more else None,
        "full": f"http://{hit.headers['host']}/orders?cursor={after}",
    }
    return Reply.json({"items": RECORDS[begin : begin + 10], "meta": {"cursor": after, "total": 25}, "links": links})


@pytest.mark.parametrize(
    ("pagination", "reason"),
    [
        ({"type": "cursor", "cursor_path": "meta.cursor"}, "no_next"),
        ({"type": "cursor", "cursor_path": "meta.cursor", "max_pages": 3, "total_path": "meta.total"}, "no_next"),
        ({"type": "next_url", "next_path": "links.next"}, "no_next"),
    ],
)
def test_follows_what_the_answer_names(pagination: dict[str, Any], reason: str, tmp_path: Path) -> None:
    frame, site, ctx = fetched(linked, tmp_path, pagination=pagination, params={"q": "1"})
    assert frame["id"].to_list() == IDS
    assert len(site.hits) == 3
    assert ctx.report().evidence["stop_reason"] == reason
    if pagination["type"] == "cursor":
        assert [hit.query.get("q") for hit in site.hits] == ["1"] * 3
        assert [hit.query.get("cursor") for hit in site.hits] == [None, "10", "20"]


def test_a_cursor_is_sent_with_its_size(tmp_path: Path) -> None:
    config = {"type": "cursor", "cursor_path": "meta.cursor", "size_param": "n", "size": 10}
    _, site, _ = fetched(linked, tmp_path, pagination=config)
    assert [hit.query.get("n") for hit in site.hits] == ["10"] * 3


@pytest.mark.parametrize(
    "pagination",
    [{"type": "cursor", "cursor_path": "next"}, {"type": "next_url", "next_path": "next"}, {"type": "link_header"}],
)
def test_loops_end_with_a_warning(pagination: dict[str, Any], tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        n = len(site_hits)
        site_hits.append(hit)
        return Reply.json({"items": [{"id": n}], "next": "/orders?cursor=7"}, Link='</orders?cursor=7>; rel="next"')

    site_hits: list[Hit] = []
    frame, _, ctx = fetched(answer, tmp_path, pagination=pagination)
    assert frame.height <= 2
    assert [w.code for w in ctx.report().warnings] == ["page_repeated"]
    assert ctx.report().evidence["stop_reason"] == "repeated_page"


def test_a_next_page_that_is_no_text_is_named(tmp_path: Path) -> None:
    error = failure(
        lambda hit: Reply.json({"items": [{"id": 1}], "next": {"a": 1}}), tmp_path,
        pagination={"type": "next_url", "next_path": "next"},
    )  # fmt: skip
    assert "at 'next' is an object, not text" in error.message


@pytest.mark.parametrize("kind", ["page", "offset"])
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("concurrency", [2, 4, 16])
def test_pages_side_by_side_stay_in_order(kind: str, total: bool, concurrency: int, tmp_path: Path) -> None:
    records = [{"id": i} for i in range(95)]
    ways = {"page": PAGED, "offset": {"type": "offset", "limit": 10}}
    config = {**ways[kind], **({"total_path": "meta.total"} if total else {})}
    frame, site, ctx = fetched(shop(records, total=total), tmp_path, pagination=config, concurrency=concurrency)
    assert frame["id"].to_list() == list(range(95))
    assert ctx.report().evidence["stop_reason"] == ("total_reached" if total else "empty_page")
    assert len(site.hits) <= 11 + (0 if total else concurrency)
    assert ctx.report().evidence["requests"] == len(site.hits) or not total


def test_an_offset_that_a_short_page_moves_loses_nothing_ahead(tmp_path: Path) -> None:
    records = [{"id": i} for i in range(60)]

    def answer(hit: Hit) -> Reply:
        begin = int(hit.query["offset"])
        return Reply.json({"items": records[begin : begin + (4 if begin == 20 else 10)], "meta": {"total": 60}})

    config = {"type": "offset", "limit": 10, "total_path": "meta.total"}
    frame, _, ctx = fetched(answer, tmp_path, pagination=config, concurrency=4)
    assert frame["id"].to_list() == list(range(60))
    assert ctx.report().evidence["stop_reason"] == "total_reached"


@pytest.mark.parametrize("status", [404, 416])
def test_a_page_that_is_not_there_ends_what_has_no_total(status: int, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json(RECORDS[page * 10 - 10 : page * 10]) if page <= 3 else Reply(b"{}", status)

    frame, _, ctx = fetched(answer, tmp_path, pagination=PAGED)
    assert (frame["id"].to_list(), ctx.report().evidence["stop_reason"]) == (IDS, "past_the_end")
    assert str(status) in failure(lambda hit: Reply(b"{}", status), tmp_path, pagination=PAGED).message


def test_a_short_page_in_the_middle_is_not_the_end(tmp_path: Path) -> None:
    sizes = {1: 10, 2: 3, 3: 10, 4: 0}
    starts = {1: 0, 2: 10, 3: 13, 4: 23}

    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json(RECORDS[starts[page] : starts[page] + sizes[page]])

    frame, _, _ = fetched(answer, tmp_path, pagination=PAGED)
    assert frame["id"].to_list() == IDS[:23]


def test_links_without_a_next_end_numbered_pages(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        rel = "next" if page < 3 else "prev"
        return Reply.json(RECORDS[page * 10 - 10 : page * 10], Link=f'</orders?page=9>; rel="{rel}"')

    _, site, ctx = fetched(answer, tmp_path, pagination=PAGED)
    assert (len(site.hits), ctx.report().evidence["stop_reason"]) == (3, "no_next")


@pytest.mark.parametrize("link", ['</style.css>; rel="preload"', '<https://api.w.org/>; rel="https://api.w.org/"'])
def test_links_to_something_else_end_nothing(link: str, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json(RECORDS[page * 10 - 10 : page * 10], Link=link)

    frame, _, ctx = fetched(answer, tmp_path, pagination=PAGED)
    assert (frame["id"].to_list(), ctx.report().evidence["stop_reason"]) == (IDS, "empty_page")


@pytest.mark.parametrize("total", [-1, 0, 7])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_total_that_was_passed_ends_nothing(total: int, concurrency: int, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        found = RECORDS[int(hit.query["offset"]) :][:10]
        return Reply.json({"items": found, "total": total}) if found else Reply(status=404)

    pagination = {"type": "offset", "total_path": "total"}
    frame, _, ctx = fetched(answer, tmp_path, pagination=pagination, concurrency=concurrency)
    assert (frame["id"].to_list(), ctx.report().evidence["stop_reason"]) == (IDS, "past_the_end")
    assert [w.code for w in ctx.report().warnings] == ["total_differs"]


def test_a_total_that_is_missing_everywhere_is_said_once(tmp_path: Path) -> None:
    _, _, ctx = fetched(shop(RECORDS), tmp_path, pagination={**PAGED, "total_path": "meta.total"})
    assert [w.code for w in ctx.report().warnings] == ["no_total"]


@pytest.mark.parametrize("pagination", ["none", "page", {"type": "cursor", "cursor_path": "next"}])
def test_no_content_is_a_page_without_records(pagination: Any, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply(status=204) if "page" not in hit.query or int(hit.query["page"]) > 2 else Reply.json(RECORDS[:1])

    frame, _, ctx = fetched(answer, tmp_path, pagination=pagination, schema={"id": "int64"})
    assert len(frame) == ctx.report().evidence["rows"] == (1 if pagination == "page" else 0)


def test_the_evidence_of_a_run(tmp_path: Path) -> None:
    answers = iter([Reply(b"busy", 503), *(Reply.json({"items": RECORDS[i : i + 10], "n": 30}) for i in (0, 8, 18)), Reply.json({"items": [], "n": 30})])  # fmt: skip # noqa: E501
    config = {"pagination": {**PAGED, "total_path": "n"}, "retry": {"initial_delay_seconds": 0}}
    _, _, ctx = fetched(lambda hit: next(answers), tmp_path, **config)
    evidence = ctx.report().evidence
    assert evidence.pop("bytes") > 300
    assert evidence == {
        "pages": 4, "requests": 5, "retries": 1, "rows": 27, "repeated_rows": 2, "declared_total": 30,
        "stop_reason": "empty_page",
    }  # fmt: skip
    assert sorted(w.code for w in ctx.report().warnings) == ["rows_repeated", "total_differs"]


def test_a_shortfall_fails_where_completeness_is_strict(tmp_path: Path) -> None:
    answers = {1: RECORDS[:10], 2: RECORDS[10:12], 3: []}
    answer: Answers = lambda hit: Reply.json({"items": answers[int(hit.query["page"])], "n": 13})  # noqa: E731
    config = {"pagination": {**PAGED, "total_path": "n"}}
    error = failure(answer, tmp_path, completeness="strict", **config)
    assert "declares 13 records and sent 12" in error.message
    assert error.details["field"] == "completeness"
    few = {"pagination": {**PAGED, "total_path": "n", "max_pages": 1}}
    assert fetched(answer, tmp_path, completeness="strict", **few)[2].report().evidence["stop_reason"] == "max_pages"


def test_values_that_disagree_are_named_with_their_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.http_api.page_batches.BATCH_BYTES", 1)
    values: list[list[Any]] = [[1, 2], [2.5, None], ["x", "y"], [[1], 3]]

    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json([{"v": v, "ok": f"{page}{n}"} for n, v in enumerate(values[page - 1])] if page < 5 else [])

    frame, _, ctx = fetched(answer, tmp_path, pagination="page")
    assert frame["v"].to_list() == [["1"], ["2"], ["2.5"], None, ["x"], ["y"], ["1"], ["3"]]
    assert [w.message for w in ctx.report().warnings] == [
        "the values of 'v' differ in kind on page 4; they are kept as list(string)"
    ]
    values[3] = [True]
    _, _, ctx = fetched(answer, tmp_path, pagination="page")
    (said,) = [w.message for w in ctx.report().warnings]
    assert "'v' are int64 on page 1, float64 on page 2, string on page 3, boolean on page 4" in said
    _, _, ctx = fetched(answer, tmp_path, pagination="page", schema={"v": "string"})
    assert ctx.report().warnings == ()


def test_one_page_that_links_to_more_is_said(tmp_path: Path) -> None:
    _, _, ctx = fetched(lambda hit: Reply.json(RECORDS, Link='</orders?page=2>; rel="next"'), tmp_path)
    assert [w.code for w in ctx.report().warnings] == ["more_pages"]


def _always(body: bytes) -> Answers:
    return lambda hit: Reply(body)


def test_lines_and_csv(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        rows = [{"id": f"00{r['id']}", "n": r["id"]} for r in RECORDS[page * 10 - 10 : page * 10]]
        if "csv" in hit.headers["accept"]:
            body = "id,n\n" + "".join(f"{r['id']},{r['n']}\n" for r in rows)
        else:
            body = "".join(json.dumps(r) + "\r\n" for r in rows) + "\n"
        return Reply(body.encode())

    for kind in ("csv", "ndjson"):
        frame, _, ctx = fetched(answer, tmp_path / kind, pagination=PAGED, response_format=kind, schema={"n": "int64"})
        assert frame["id"].to_list() == [f"00{i}" for i in IDS]
        assert frame["n"].to_list() == IDS
        assert ctx.report().evidence["rows"] == 25
    for kind, body, said in (("ndjson", b'{"a": 1}\n[2]\n', "page 1: line 2 is not an object"), ("ndjson", b"{", "line 1"), ("csv", b'a,b\n1,"', "does not end")):  # fmt: skip # noqa: E501
        error = failure(_always(body), tmp_path / (kind + said[:3]), response_format=kind)
        assert said in error.message
        assert error.details["field"] == "response_format"
    quoted, _, _ = fetched(lambda hit: Reply(b'"say ""hi""",b\n1,2\n'), tmp_path, response_format="csv")
    assert quoted.columns == ['say "hi"', "b"]
    empty, _, _ = fetched(lambda hit: Reply(b""), tmp_path, response_format="csv")
    assert empty.height == 0


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ('[{"a": "größe"}]'.encode("latin-1"), "json", "application/json; charset=iso-8859-1"),
        ('[{"a": "größe"}]'.encode("utf-16"), "json", "application/json;charset=utf-16"),
        ('[{"a": "größe"}]'.encode(), "json", "application/json; charset=iso-8859-1"),  # it says so, and is not
        ("a\ngröße\n".encode("cp1252"), "csv", 'text/csv; charset="windows-1252"'),
        ('{"a": "größe"}\n'.encode("latin-1"), "ndjson", "application/x-ndjson; charset=latin1"),
    ],
)
def test_encodings_that_a_header_declares(tmp_path: Path, body: bytes, kind: str, said: str) -> None:
    frame, _, _ = fetched(lambda hit: Reply(body, headers={"content-type": said}), tmp_path, response_format=kind)
    assert frame["a"].to_list() == ["größe"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("csv", "ndjson", "ndjsonpag", "ndjsonlin", "csvnot"):
        (tmp_path / name).mkdir()


def test_requests_keep_their_distance(tmp_path: Path) -> None:
    import time

    began = time.perf_counter()
    fetched(shop(RECORDS), tmp_path, pagination=PAGED, requests_per_second=50, concurrency=4)
    assert time.perf_counter() - began >= 3 / 50


def test_an_exhausted_rate_limit_is_waited_for(tmp_path: Path) -> None:
    import time

    def answer(hit: Hit) -> Reply:
        reply = shop(RECORDS)(hit)
        return Reply(reply.body, headers={**reply.headers, "RateLimit-Remaining": "0", "RateLimit-Reset": "1"})

    began = time.perf_counter()
    fetched(answer, tmp_path, pagination={**PAGED, "max_pages": 2}, retry={"max_delay_seconds": 0.1})
    assert 0.1 <= time.perf_counter() - began < 0.9


OAUTH = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": "${TOKEN}", "scope": "read all"}


def test_a_token_is_fetched_once_used_and_renewed(tmp_path: Path) -> None:
    given: list[Hit] = []

    def answer(hit: Hit) -> Reply:
        if hit.path == "/token":
            given.append(hit)
            return Reply.json({"access_token": f"t{len(given)}", "token_type": "Bearer", "expires_in": 3600})
        valid = "t1" if int(hit.query["page"]) < 2 else "t2"
        return shop(RECORDS)(hit) if hit.headers["authorization"] == f"Bearer {valid}" else Reply(b"", 401)

    for way in ("basic", "body"):
        given.clear()
        with serving(answer) as site:
            ctx = context(tmp_path, secrets={"TOKEN": "s3cret-token"})
            auth = {**OAUTH, "token_url": site.address + "/token", "client_auth": way, "params": {"audience": "x"}}
            from tests.unit.collectors.api_source import rows

            frame = rows({"endpoint": site.address + "/orders", "pagination": PAGED, "auth": auth}, ctx)
        assert frame["id"].to_list() == IDS
        assert len(given) == 2
        form = given[0].body.decode()
        assert "grant_type=client_credentials" in form
        assert "scope=read+all&" in form + "&"
        assert ("client_secret=s3cret-token" in form) == (way == "body")
        assert ("authorization" in given[0].headers) == (way == "basic")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply.json({"error": "no"}), "holds no access_token"),
        (Reply.json({"access_token": ""}), "holds no access_token"),
        (Reply(b"<html>"), "holds no access_token"),
        (Reply.json({"access_token": "x", "token_type": "mac"}), "of type 'mac'"),
        (Reply(b'{"error": "invalid_client"}', 401), "invalid_client"),
    ],
)
def test_a_token_that_is_not_given_fails_with_its_field(reply: Reply, said: str, tmp_path: Path) -> None:
    with serving(lambda hit: reply) as site:
        auth = {**OAUTH, "token_url": site.address + "/token"}
        error = failure(lambda hit: Reply(b""), tmp_path, auth=auth)
    assert said in error.message
    assert "s3cret-token" not in error.message
    assert error.details["field"] == "auth.token_url"


def test_a_source_that_never_accepts_the_token_fails(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json({"access_token": "x"})) as site:
        error = failure(lambda hit: Reply(b"", 401), tmp_path, auth={**OAUTH, "token_url": site.address + "/token"})
    assert error.details["status"] == 401


def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    import asyncio

    import httpx

    now = [0.0]
    asked: list[Request] = []

    async def fetch(request: Request) -> Response:
        asked.append(request)
        body = b'{"access_token": "t%d", "expires_in": "100"}' % len(asked)
        return Response(200, httpx.Headers(), body, request.url)

    async def go() -> list[AuthParts]:
        auth = ClientCredentials(token_url="https://a/t", client_id="a", client_secret="b")
        session = Session(auth, context(tmp_path), fetch, lambda: now[0])
        found = [await session.parts(), await session.parts()]
        now[0] = 71.0
        found.append(await session.parts())
        assert await session.renew_rejected(found[0])  # another request renewed it already
        return found

    tokens = [g.headers["authorization"] for g in asyncio.run(go())]
    assert tokens == ["Bearer t1", "Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"pagination": {"type": "cursor", "cursor_path": "a", "size_param": "n"}}, "pagination.size"),
        ({"response_format": "csv", "records_path": "a"}, "records_path"),
        ({"response_format": "ndjson", "pagination": {"type": "next_url", "next_path": "a"}}, "pagination"),
        ({"response_format": "csv", "pagination": {"type": "page", "total_path": "a"}}, "pagination"),
        ({"concurrency": 2, "pagination": "link_header"}, "concurrency"),
        ({"concurrency": 2}, "concurrency"),
        ({"auth": {**OAUTH, "token_url": "ftp://x"}}, "auth.token_url"),
    ],
)
def test_problems(config: dict[str, Any], field: str) -> None:
    found = collector(endpoint="https://a.example/", **config).problems()
    assert [p.field for p in found] == [field]


def test_errors_keep_their_family(tmp_path: Path) -> None:
    error = failure(lambda hit: Reply(b"", 503), tmp_path, retry={"max_attempts": 1})
    assert isinstance(error, errors.Transient)
