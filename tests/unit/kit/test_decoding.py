"""Every problem is found at once, and each names its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from service.kit import decoding
from service.kit.errors import Problem


class Cast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    on_error: Literal["null", "fail"] = "null"


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="page"):
    size: Annotated[int, msgspec.Meta(ge=1)] = 100


class Offset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="offset"):
    limit: int


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=1)]
    cast: dict[str, str | Cast] = {}
    names: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    pagination: Page | Offset = Page()
    drop: bool | list[str] = False

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("13 is unlucky")


def problems(value: Any) -> dict[str, str]:
    decoded, found = decoding.decode(Settings, value, "x")
    assert (decoded is None) == bool(found)
    return {p.field: p.message for p in found}


def test_a_good_document_is_decoded() -> None:
    value, found = decoding.decode(Settings, {"count": 2, "cast": {"a": "int64", "b": {"type": "date"}}})
    assert found == []
    assert value == Settings(count=2, cast={"a": "int64", "b": Cast(type="date")})


@pytest.mark.parametrize(
    ("value", "field", "part"),
    [
        ({}, "x.count", "required"),
        ({"count": 0}, "x.count", ">= 1"),
        ({"count": 1, "cast": {"price": 3}}, "x.cast.price", "got `int`"),
        ({"count": 1, "cast": {"price": {"type": "date", "on_error": "nul"}}}, "x.cast.price.on_error", "nul"),
        ({"count": 1, "cast": {"price": {"type": "date", "on_eror": "null"}}}, "x.cast.price.on_eror", "on_error"),
        ({"count": 1, "names": []}, "x.names", "length >= 1"),
        ({"count": 1, "names": ["a", 2]}, "x.names[1]", "got `int`"),
        ({"count": 1, "pagination": {"type": "pag"}}, "x.pagination.type", "did you mean 'page'"),
        ({"count": 1, "pagination": {"size": 3}}, "x.pagination.type", "required"),
        ({"count": 1, "pagination": {"type": "page", "size": 0}}, "x.pagination.size", ">= 1"),
        ({"count": 1, "drop": ["a", 1]}, "x.drop[1]", "got `int`"),
        ({"count": 1, "cuont": 1}, "x.cuont", "did you mean 'count'"),
        ({"count": 13}, "x", "unlucky"),
        (7, "x", "object"),
    ],
)
def test_a_problem_names_its_place(value: Any, field: str, part: str) -> None:
    found = problems(value)
    assert list(found) == [field]
    assert part in found[field]


def test_all_problems_at_once() -> None:
    assert list(problems({"count": 0, "cast": {"a": 1, "b": 2}, "more": 1})) == [
        "x.count",
        "x.cast.a",
        "x.cast.b",
        "x.more",
    ]


def test_paths_join() -> None:
    assert decoding.join("a", "b") == "a.b"
    assert decoding.join("a", "[0].c") == "a[0].c"
    assert decoding.join("", "b") == decoding.join("b", "") == "b"
    assert Problem("a", "b") == Problem("a", "b")
