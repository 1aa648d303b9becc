"""Answers that are less than they seem: errors inside a 200, more pages, equal and empty pages, missing keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.kit import errors
from tests.unit.collectors import file_source
from tests.unit.collectors.api_source import failure, fetched
from tests.unit.network.site import Hit, Reply

ROWS = [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"data": {"items": ROWS}, "errors": [{"message": "Timeout on shard 3"}]}, "Timeout on shard 3"),
        (
            {"data": None, "errors": [{"message": "a"}, {"message": "b"}, {"message": "c"}, {"message": "d"}]},
            "and 1 more",
        ),
        ({"ok": False, "error": "ratelimited"}, "ratelimited"),
        ({"success": False, "message": "Invalid API key", "items": []}, "success is false: Invalid API key"),
        ({"error": {"code": 190, "message": "Token expired", "type": "OAuthException"}}, "Token expired"),
        ({"error": "unauthorized", "error_description": "The token is invalid"}, "unauthorized"),
        ({"Response": "False", "Error": "Movie not found!"}, "Movie not found!"),
        ({"stat": "fail", "code": 100, "message": "Invalid API Key"}, "Invalid API Key"),
        ({"status": "error", "message": "quota exceeded", "items": ROWS}, "quota exceeded"),
        ({"status": 404, "message": "no such list"}, "no such list"),
        ({"fault": {"faultstring": "Rate limit quota violation"}}, "Rate limit quota violation"),
        ({"isError": True, "message": "broken", "items": ROWS}, "broken"),
        ({"errorCode": 17, "errorMessage": "no rights", "items": []}, "no rights"),
        ({"items": ROWS, "errors": {"items": ["is too large"]}}, "is too large"),
        ({"code": 40001, "msg": "bad token", "data": []}, "code is 40001: bad token"),
        ({"code": "1101", "message": "quota", "data": None}, 'code is "1101": quota'),
        ({"errcode": 40001, "errmsg": "invalid credential"}, "errcode 40001: invalid credential"),
        ({"error": True, "message": "broken"}, "error: broken"),
        ({"timed_out": True, "_shards": {"failed": 0}, "items": ROWS}, "timed_out"),
        ({"_shards": {"total": 5, "failed": 1, "failures": [{"reason": "lost"}]}, "items": ROWS}, "failed is 1: lost"),
        ({"items": ROWS, "failures": [{"message": "shard 3"}]}, "shard 3"),
    ],
)
def test_an_error_in_an_answer_fails_the_run_with_its_words(body: Any, words: str, tmp_path: Path) -> None:
    error = failure(lambda hit: Reply.json(body), tmp_path)
    assert isinstance(error, errors.Permanent)
    assert "page 1: the answer reports an error" in error.message
    assert words in error.message
    assert error.details["field"] == "answer_errors"


@pytest.mark.parametrize(
    "more",
    [
        {"error": []}, {"error": None}, {"error": ""}, {"error": False}, {"errors": {}}, {"errorCode": 0},
        {"ok": True}, {"status": "ok"}, {"status": 200}, {"status": "failed"}, {"error": {"code": 0, "message": ""}},
        {"code": 0, "msg": "success"}, {"code": 20000, "msg": "success"}, {"code": 7, "msg": "from cache"},
        {"_shards": {"total": 5, "failed": 0}, "timed_out": False}, {"failures": []},
        {"success": True}, {"message": "2 found"}, {"errors": []}, {"error": "0"},
    ],
)  # fmt: skip
def test_what_reports_no_error_is_data(more: dict[str, Any], tmp_path: Path) -> None:
    frame, _, ctx = fetched(lambda hit: Reply.json({"result": ROWS, **more}), tmp_path)
    assert frame["id"].to_list() == [1, 2]
    assert ctx.report().warnings == ()


def test_an_empty_error_beside_a_result_is_no_list_of_records(tmp_path: Path) -> None:
    error = failure(lambda hit: Reply.json({"error": [], "result": {"XBT": {"a": 1}}}), tmp_path)
    assert "no array of objects" in error.message
    frame, _, _ = fetched(lambda hit: Reply.json({"errors": ROWS}), tmp_path, records_path="errors")
    assert frame.height == 2  # a list of errors, if that is what was asked for


def test_a_record_may_have_an_error_itself(tmp_path: Path) -> None:
    body = {"id": 7, "name": "job", "error": "disk full", "status": "failed"}
    frame, _, _ = fetched(lambda hit: Reply.json(body), tmp_path, records_path="$")
    assert frame["error"].to_list() == ["disk full"]
    assert "nope" in failure(lambda hit: Reply.json({"error": "nope"}), tmp_path, records_path="$").message


def test_partial_answers_are_kept_and_counted_if_they_are_wanted(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        errors_ = {"errors": [{"message": "s3cret-token is slow"}]} if page < 3 else {}
        return Reply.json({"items": [{"id": page}] if page < 4 else [], **errors_})

    frame, _, ctx = fetched(answer, tmp_path, pagination="page", answer_errors="warn")
    (warning,) = ctx.report().warnings
    assert frame["id"].to_list() == [1, 2, 3]
    assert (warning.code, warning.details) == ("answer_errors", {"answers": 2})
    assert "*** is slow" in warning.message


@pytest.mark.parametrize("words", ["no data", "Nothing found", "empty result", "OK"])
def test_a_code_for_no_records_is_not_an_error(words: str, tmp_path: Path) -> None:
    frame, _, _ = fetched(lambda hit: Reply.json({"code": 404001, "msg": words, "data": []}), tmp_path)
    assert frame.height == 0


@pytest.mark.parametrize(
    ("headers", "more"),
    [({"X-Total-Count": "9"}, True), ({"Content-Range": "items 0-1/9"}, True), ({"X-WP-Total": "9"}, True),
     ({"X-Total-Count": "2"}, False), ({"Content-Range": "bytes 0-17/18"}, False), ({"X-Total-Time": "9"}, False)],
)  # fmt: skip
def test_a_total_in_a_header_is_not_overlooked(headers: dict[str, str], more: bool, tmp_path: Path) -> None:
    _, _, ctx = fetched(lambda hit: Reply.json(ROWS, **{k.replace("-", "_"): v for k, v in headers.items()}), tmp_path)
    assert [w.code for w in ctx.report().warnings] == ["more_pages"] * more


@pytest.mark.parametrize(
    ("body", "path", "key"),
    [
        (b'{"items": [{"id": 1}], "items": [{"id": 2}, {"id": 3}]}', None, "items"),
        (b'{"a": 1, "data": {"items": [{"id": 1}] , "items" : [{"id": 2}, {"id": 3}]}}', "data.items", "items"),
        (b'{"data": {"x": 1}, "n": "\\"}", "data": {"items": [{"id": 2}, {"id": 3}]}}', "data.items", "data"),
        (b'{ "a": 1, "a": 2, "items": [{"id": 2}, {"id": 3, "a": 4}] }', "items", "a"),
    ],
)
def test_keys_that_are_repeated_around_the_records(body: bytes, path: str | None, key: str, tmp_path: Path) -> None:
    """One rule as inside of records: the last value is kept, with a warning."""
    frame, _, ctx = fetched(lambda hit: Reply(body), tmp_path, records_path=path)
    assert frame["id"].to_list() == [2, 3]
    assert [(w.code, f"'{key}'" in w.message) for w in ctx.report().warnings] == [("duplicate_keys", True)]
    (tmp_path / "file").mkdir()
    ctx = file_source.surroundings(tmp_path / "file", {"a.json": body})
    assert file_source.rows(ctx, "json", file_path="a.json", records_path=path)["id"].to_list() == [2, 3]
    assert [(w.code, f"'{key}'" in w.message) for w in ctx.report().warnings] == [("duplicate_keys", True)]


def test_an_error_on_one_line_of_ndjson(tmp_path: Path) -> None:
    error = failure(lambda hit: Reply(b'{"error": "quota"}\n'), tmp_path, response_format="ndjson")
    assert "the answer reports an error: quota" in error.message


@pytest.mark.parametrize(
    "more",
    [
        {"has_more": True}, {"hasMore": True}, {"meta": {"hasNextPage": True}}, {"last": False, "number": 0},
        {"done": False, "nextRecordsUrl": "/q/2"}, {"next": "https://x.test/?page=2"}, {"nextLink": "/y"},
        {"@odata.nextLink": "/y"}, {"nextPageToken": "abc"}, {"paging": {"next": {"after": "2"}}},
        {"response_metadata": {"next_cursor": "dXNlcg=="}}, {"links": {"next": "/x?page=2"}}, {"total": 9},
        {"meta": {"total_count": 9}}, {"hits": {"total": {"value": 9}}}, {"total_pages": 5}, {"offset": "itrX/rec"},
        {"_links": {"next": {"href": "/x"}}}, {"link": [{"relation": "next", "url": "/x"}]},
        {"exceededTransferLimit": True}, {"totalElements": "9"}, {"incomplete_results": True}, {"cursor": "abc"},
        {"continue": {"apcontinue": "x"}}, {"d": {"__next": "/x"}}, {"LastEvaluatedKey": {"id": {"N": "1"}}},
        {"nbHits": 9}, {"nbPages": 3}, {"numberOfItems": 9}, {"rowCount": 9},
    ],
)  # fmt: skip
def test_more_pages_that_the_answer_names_are_not_overlooked(more: dict[str, Any], tmp_path: Path) -> None:
    _, _, ctx = fetched(lambda hit: Reply.json({"items": ROWS, **more}), tmp_path)
    report = ctx.report()
    (warning,) = report.warnings
    assert (warning.code, warning.details["collected"]) == ("more_pages", 2)
    assert report.evidence["more_pages"]
    error = failure(lambda hit: Reply.json({"items": ROWS, **more}), tmp_path, completeness="strict")
    assert error.details["field"] == "pagination"


@pytest.mark.parametrize(
    "more",
    [
        {"has_more": False, "next_cursor": "abc"}, {"next": None}, {"total": 2}, {"count": 2, "next": ""}, {"page": 1},
        {"hasNextPage": False, "endCursor": "x"}, {"total_pages": 1}, {"last": True}, {"limit": 100}, {"total": 9.5},
        {"next_cursor": 0}, {"links": {"next": None, "self": "/x"}},
    ],
)  # fmt: skip
def test_what_names_no_more_is_complete(more: dict[str, Any], tmp_path: Path) -> None:
    _, _, ctx = fetched(lambda hit: Reply.json({"items": ROWS, **more}), tmp_path, completeness="strict")
    assert ctx.report().warnings == ()


def test_flags_end_pages_whose_cursors_never_do(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query.get("cursor", 1))
        return Reply.json(
            {"items": [{"id": page}], "next": str(page + 1), "more": page < 3, "state": {"last": page == 3}}
        )

    kind = {"type": "cursor", "cursor_path": "next"}
    for flag in ({"has_more_path": "more"}, {"stop_when": {"path": "state.last", "equals": True}}):
        frame, site, ctx = fetched(answer, tmp_path, pagination={**kind, **flag}, completeness="strict")
        assert (frame["id"].to_list(), len(site.hits)) == ([1, 2, 3], 3)
        assert ctx.report().evidence["stop_reason"] in ("no_more", "stop_when")
        assert ctx.report().warnings == ()


@pytest.mark.parametrize(
    ("equals", "value", "pages"),
    [("done", "done", 1), (1, 1, 1), (True, 1, 4), (None, None, 1), ("1", 1, 4), (False, False, 1)],
)
def test_a_stop_value_is_compared_as_json(equals: Any, value: Any, pages: int, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json({"items": [{"id": page}] if page < 4 else [], "state": value})

    kind = {"type": "page", "stop_when": {"path": "state", "equals": equals}}
    _, site, _ = fetched(answer, tmp_path, pagination=kind)
    assert len(site.hits) == pages


@pytest.mark.parametrize("most", [1, 3, 5])
def test_empty_pages_in_a_row_are_bounded(most: int, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query.get("cursor", 1))
        return Reply.json({"items": [{"id": page}] if page in (1, 3) else [], "next": page + 1})

    kind = {"type": "cursor", "cursor_path": "next", "max_empty_pages": most}
    frame, site, ctx = fetched(answer, tmp_path, pagination=kind)
    assert frame["id"].to_list() == ([1] if most == 1 else [1, 3])
    assert len(site.hits) == (2 if most == 1 else 3 + most)
    report = ctx.report()
    assert (report.evidence["stop_reason"], [w.code for w in report.warnings]) == ("empty_pages", ["empty_pages"])
    error = failure(answer, tmp_path, pagination=kind, completeness="strict")
    assert error.details["field"] == "pagination.max_empty_pages"


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "offset", "limit": 2}, {"type": "cursor", "cursor_path": "next"}, {"type": "page"},
        {"type": "next_url", "next_path": "url"},
    ],
)  # fmt: skip
def test_the_same_page_again_is_not_what_was_asked_for(kind: dict[str, Any], tmp_path: Path) -> None:
    body = {"items": ROWS, "next": "2", "url": "/orders?p=2"}
    error = failure(lambda hit: Reply.json(body), tmp_path, pagination=kind, method="POST", body={"q": 1})
    assert "page 2 equals page 1: what came is not what was asked for" in error.message
    assert error.details["field"] == "pagination"


def test_a_cursor_that_changes_and_is_ignored_ends(tmp_path: Path) -> None:
    kind = {"type": "cursor", "cursor_path": "next", "in": "body"}
    served = iter(range(100))
    error = failure(
        lambda hit: Reply.json({"items": ROWS, "next": f"c{next(served)}"}), tmp_path, pagination=kind, method="POST",
        body={"q": 1},
    )  # fmt: skip
    assert "page 3 equals page 2: what came is not what was asked for" in error.message

    def alike(hit: Hit) -> Reply:
        page = int(hit.query.get("cursor", 1))
        return Reply.json({"items": [{"ok": True}] * 2, "next": page + 1 if page < 5 else None})

    frame, _, _ = fetched(alike, tmp_path, pagination={"type": "cursor", "cursor_path": "next"})
    assert frame.height == 10  # rows that are all alike cannot tell


@pytest.mark.parametrize(
    "headers", [{"X-Next-Page": "2"}, {"X-Total-Pages": "3"}, {"X-WP-TotalPages": "2"}, {"X-Next-Cursor": "abc"}]
)
def test_more_pages_that_a_header_names_are_not_overlooked(headers: dict[str, str], tmp_path: Path) -> None:
    _, _, ctx = fetched(lambda hit: Reply.json({"items": ROWS}, **headers), tmp_path)
    assert [w.code for w in ctx.report().warnings] == ["more_pages"]
    last = {name: "" if "Next" in name else "1" for name in headers}
    _, _, ctx = fetched(lambda hit: Reply.json({"items": ROWS}, **last), tmp_path)
    assert not ctx.report().warnings


def test_numbered_pages_that_end_with_the_last_one_are_complete(tmp_path: Path) -> None:
    frame, _, ctx = fetched(lambda hit: Reply.json({"items": ROWS}), tmp_path, pagination="page")
    assert (frame.height, [w.code for w in ctx.report().warnings]) == (2, ["page_repeated"])
    error = failure(lambda hit: Reply.json({"items": ROWS, "total": 9}), tmp_path, pagination="page")
    assert "not what was asked for" in error.message


def test_a_later_page_without_its_key_has_no_records(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query.get("pageToken", 1))
        return Reply.json({"kind": "list", **({"items": ROWS, "nextPageToken": "2"} if page == 1 else {})})

    kind = {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"}
    for path in ({}, {"records_path": "items"}):
        frame, _, ctx = fetched(answer, tmp_path, pagination=kind, **path)
        evidence = ctx.report().evidence
        assert (frame.height, evidence["pages_without_records"], evidence["stop_reason"]) == (2, 1, "no_next")


def test_an_object_after_arrays_is_no_record(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply.json(ROWS if hit.query["page"] == "1" else {"message": "no more"})

    assert "the pages before are arrays" in failure(answer, tmp_path, pagination="page").message


@pytest.mark.parametrize("status", [400, 404, 416, 422])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_page_past_the_end_is_the_end_with_evidence(status: int, concurrency: int, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json([{"id": page}]) if page < 4 else Reply(b'{"message": "no such page"}', status)

    frame, _, ctx = fetched(answer, tmp_path, pagination="page", concurrency=concurrency)
    report = ctx.report()
    assert frame["id"].to_list() == [1, 2, 3]
    assert (report.evidence["stop_reason"], report.evidence["end_status"]) == ("past_the_end", status)
    assert [w.code for w in report.warnings] == (["ended_by_error"] if status in (400, 422) else [])
    assert failure(lambda hit: Reply(b"{}", status), tmp_path, pagination="page").details["status"] == status


def test_a_limit_of_the_source_is_not_the_end(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        body = {"total_count": 5000, "items": [{"id": page}]}
        return Reply.json(body) if page < 4 else Reply(b'{"message": "Only the first 3 results"}', 422)

    assert "Only the first 3 results" in failure(answer, tmp_path, pagination="page").message
