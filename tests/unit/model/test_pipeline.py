"""A configuration of any shape is either a pipeline or a list of problems, each at a place that exists."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kit import errors
from service.model import pipeline as pipelines
from service.model.normalized import resolved
from service.model.registry import Registry
from tests.examples import examples

REGISTRY = Registry.load()
DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "description": "all kinds at once",
    "collectors": [{**kind.EXAMPLE, "id": tag} for tag, kind in REGISTRY.collectors.kinds.items()],
    "combine": {"how": "join", "on": ["key"], "type": "left"},
    "processors": [copy.deepcopy(kind.EXAMPLE) for kind in REGISTRY.processors.kinds.values()],
    "storage": [copy.deepcopy(kind.EXAMPLE) for kind in REGISTRY.storages.kinds.values()],
    "execution": {"timeout_seconds": 60},
    "schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"},
    "notify": [{"url": "https://hooks.example/x", "events": ["failed"], "secret": "${HOOK}"}],
    "publish_if": {"max_row_drop_share": 0.2, "max_drift": {"amount": 0.25}},
    "retention": {"days": 3},
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(*path, key), *places(inner, (*path, key))]]


def test_the_examples_together_are_a_pipeline() -> None:
    pipeline = pipelines.decode(DOCUMENT, REGISTRY)
    assert len(pipeline.collectors) == len(REGISTRY.collectors.kinds)
    assert pipeline.document == DOCUMENT


@pytest.mark.parametrize("key", [*DOCUMENT, "trigger", "keep_versions"])
@pytest.mark.parametrize("junk", [None, True, 7, 0.5, "text", [], [None], {}, {"": None}], ids=repr)
def test_a_part_of_another_type_is_told_and_never_a_crash(key: str, junk: Any) -> None:
    with contextlib.suppress(errors.Invalid):
        pipelines.decode({**DOCUMENT, key: junk}, REGISTRY)


@pytest.mark.parametrize("place", ["collectors", "combine", "storage", "processors"])
def test_null_is_no_list(place: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        pipelines.decode({**DOCUMENT, place: None}, REGISTRY)
    assert {e["field"] for e in caught.value.details["errors"]} == {place}


@examples(120)
@given(place=st.sampled_from(places(DOCUMENT)), junk=JUNK)
def test_junk_anywhere_is_told_and_never_a_crash(place: tuple[Any, ...], junk: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    target: Any = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = junk
    try:
        pipelines.decode(document, REGISTRY)
    except errors.Invalid as error:
        found = error.details["errors"]
        assert found
        for problem in found:
            assert problem["message"]


@pytest.mark.parametrize("tag", [{}, [], {"join": 1}, [["join"]], 1, True])
def test_a_tag_that_is_no_text(tag: Any) -> None:
    for change in ({"combine": {"how": tag, "on": ["key"]}}, {"collectors": [{"type": tag}]}):
        with pytest.raises(errors.Invalid, match=r"unknown (how|type)"):
            pipelines.decode({**DOCUMENT, **change}, REGISTRY)


@pytest.mark.parametrize(
    ("combine", "said"),
    [
        ({"how": "join", "on": ["k", "k"]}, "names 'k' twice"),
        ({"how": "concat", "on": ["k"]}, r"unknown .*known: none"),
    ],
)
def test_settings_of_combine_that_cannot_be(combine: dict[str, Any], said: str) -> None:
    sources = [{"type": "csv", "file_path": name} for name in ("a.csv", "b.csv")]
    with pytest.raises(errors.Invalid, match=said) as caught:
        pipelines.decode({**DOCUMENT, "collectors": sources, "combine": combine}, REGISTRY)
    assert caught.value.details["field"] == "combine.on"


@pytest.mark.parametrize("setting", ["key", "partition_by", "cluster_by"])
def test_a_column_is_named_once_in_a_setting_of_a_storage(setting: str) -> None:
    storage = [{"type": "duckdb"}, {"type": "parquet", "mode": "merge", "key": "k", setting: ["a", "a"]}]
    with pytest.raises(errors.Invalid, match="names 'a' twice") as caught:
        pipelines.decode({**DOCUMENT, "storage": storage}, REGISTRY)
    assert caught.value.details["field"] == f"storage[1].{setting}"


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (
            {"processors": [{"type": "cleaner", "config": {"strip_strings": 1, "dropp": 1, "cast": {"a": "intt"}}}]},
            ["processors[0].config.strip_strings", "processors[0].config.dropp", "processors[0].config.cast.a"],
        ),
        (
            {"collectors": [{"type": "api", "endpoint": "ftp://example.org", "page": 1}]},
            ["collectors[0].page", "collectors[0].endpoint"],
        ),
        # what follows from a setting that cannot be read is not guessed at
        (
            {"collectors": [{"type": "api", "endpoint": "http://example.org", "pagination": "pge", "concurrency": 4}]},
            ["collectors[0].pagination"],
        ),
        ({"processors": [{"type": "sql", "config": {"quer": "select"}}]},
         ["processors[0].config.quer", "processors[0].config.query"]),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_read_hides_no_other_problem(part: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(errors.Invalid) as raised:
        pipelines.decode({"name": "p", "collectors": [{"type": "csv", "file_path": "a.csv"}], **part}, REGISTRY)
    assert [problem["field"] for problem in raised.value.details["errors"]] == fields


def test_null_is_the_word_null_where_that_is_a_choice() -> None:
    cleaner = {"cast": {"a": {"type": "int64", "on_error": None}}, "outliers": {"a": {"method": "iqr", "action": None}}}
    transformer = {"encode": {"c": {"method": "onehot", "handle_unknown": None}}}
    processors = [{"type": "cleaner", "config": cleaner}, {"type": "transformer", "config": transformer}]
    document = {"name": "p", "collectors": [{"type": "csv", "file_path": "a.csv"}], "processors": processors}
    cleaned, transformed = (p["config"] for p in resolved(pipelines.decode(document, REGISTRY))["processors"])
    assert (cleaned["cast"]["a"]["on_error"], cleaned["outliers"]["a"]["action"]) == ("null", "null")
    assert transformed["encode"]["c"]["handle_unknown"] == "null"


@pytest.mark.parametrize("versions", [5, "all"])
def test_the_versions_to_keep_may_stand_in_a_storage(versions: int | str) -> None:
    storage = [{"type": "duckdb"}, {"type": "parquet", "keep_versions": versions}]
    document = {key: value for key, value in DOCUMENT.items() if key != "retention"} | {"storage": storage}
    pipeline = pipelines.decode(document, REGISTRY)
    assert pipeline.retention is not None
    assert pipeline.retention.versions == versions
    assert pipelines.decode(resolved(pipeline), REGISTRY).retention == pipeline.retention
    for other in ({"retention": {"versions": 7}}, {"retention": {"days": 7}}, {"keep_versions": 7}):
        with pytest.raises(errors.Invalid) as caught:
            pipelines.decode({**document, **other}, REGISTRY)
        assert caught.value.details["field"] == "storage[1].keep_versions"
