"""What every plug-in must keep to, whoever wrote it: examples, round trips, refusals, descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest

from service.kit import errors
from service.model import pipeline as pipelines
from service.model.normalized import resolved
from service.steps.processor import Processor
from tests.registry import PLUGINS, REGISTRY, Plugin, decoded, document

each = pytest.mark.parametrize(("place", "plugin"), PLUGINS, ids=[f"{p}:{c.__struct_config__.tag}" for p, c in PLUGINS])


def test_the_contract_s_plug_ins_and_the_package_s_are_there() -> None:
    assert {"csv", "api", "web", "counted"} <= set(REGISTRY.collectors.kinds)
    assert {"cleaner", "analyzer", "transformer", "doubled"} <= set(REGISTRY.processors.kinds)
    assert {"parquet", "duckdb", "listing"} <= set(REGISTRY.storages.kinds)


@each
def test_its_example_decodes_without_a_problem(place: str, plugin: Plugin) -> None:
    assert plugin.EXAMPLE["type"] == plugin.__struct_config__.tag
    assert isinstance(decoded(place, plugin.EXAMPLE), plugin)


@each
def test_its_settings_spelled_out_are_a_configuration_that_says_the_same(place: str, plugin: Plugin) -> None:
    pipeline = pipelines.decode(document(place, plugin.EXAMPLE), REGISTRY)
    whole = resolved(pipeline)
    again = pipelines.decode(whole, REGISTRY)
    assert resolved(again) == whole
    assert [p.spelled_out() for p in again.processors] == [p.spelled_out() for p in pipeline.processors]


@each
def test_its_values_round_trip(place: str, plugin: Plugin) -> None:
    value = decoded(place, plugin.EXAMPLE)
    written = msgspec.json.decode(msgspec.json.encode(value))
    item = {"type": written.pop("type"), "config": written} if place == "processors" else written
    assert decoded(place, item) == value


@each
def test_an_unknown_setting_is_refused_with_its_path(place: str, plugin: Plugin) -> None:
    item = dict(plugin.EXAMPLE)
    path = f"{place}[0]"
    if place == "processors":
        item["config"] = {**item.get("config", {}), "no_such_setting": 1}
        path += ".config"
    else:
        item["no_such_setting"] = 1
    with pytest.raises(errors.Invalid) as caught:
        pipelines.decode(document(place, item), REGISTRY)
    assert [e["field"] for e in caught.value.details["errors"]] == [f"{path}.no_such_setting"]


@each
def test_a_wrong_type_is_refused_for_every_setting(place: str, plugin: Plugin) -> None:
    for field in msgspec.structs.fields(plugin):
        if _takes_everything(field.type):
            continue
        item: dict[str, Any] = {"type": plugin.__struct_config__.tag, field.encode_name: [[{}]]}
        wrapped = {"type": item.pop("type"), "config": item} if place == "processors" else item
        with pytest.raises(errors.Invalid) as caught:
            pipelines.decode(document(place, wrapped), REGISTRY)
        assert any(f".{field.encode_name}" in e["field"] for e in caught.value.details["errors"]), field.name


def _takes_everything(kind: Any) -> bool:
    """Any kind of JSON value, or lists, or lists of lists."""
    try:
        msgspec.convert([[{}]], kind)
    except msgspec.ValidationError:
        return False
    return True


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    if get_origin(kind) is Annotated:
        yield from (m for m in get_args(kind)[1:] if isinstance(m, msgspec.Meta))
    for part in get_args(kind):
        yield from _metas(part)


def _structs(kind: Any) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type)
    for part in get_args(kind):
        yield from _structs(part)


@each
def test_every_setting_has_a_description_and_every_struct_says_what_it_is(place: str, plugin: Plugin) -> None:
    for struct in _structs(plugin):
        assert struct.__doc__, struct
        silent = [f.name for f in msgspec.structs.fields(struct) if not any(m.description for m in _metas(f.type))]
        assert silent == [], struct


@each
def test_its_json_schema_can_be_written(place: str, plugin: Plugin) -> None:
    schema = msgspec.json.schema(plugin)
    assert schema["$defs"][plugin.__name__]["properties"]["type"]["enum"] == [plugin.__struct_config__.tag]


def test_two_plug_ins_of_one_type_are_an_error() -> None:
    class Other(Processor, frozen=True, kw_only=True, tag="cleaner"):
        """Calls itself cleaner too."""

    with pytest.raises(ValueError, match="two plug-ins call themselves 'cleaner'"):
        REGISTRY.processors.add(Other)
