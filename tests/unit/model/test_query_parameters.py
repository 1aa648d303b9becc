"""Parameters of saved queries: texts become values of the declared type, and every wrong one is named."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from service.kit import errors
from service.model import query_parameters
from service.model.query_parameters import Kind, Parameter

HOUR = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "00501", "00501"), ("integer", "-7", -7), ("integer", str(2**127 - 1), 2**127 - 1),
        ("number", "1e3", 1000.0), ("decimal", "1.10", Decimal("1.10")), ("boolean", "false", False),
        ("date", "2026-01-31", date(2026, 1, 31)), ("time", "06:30", time(6, 30)),
        ("datetime", "2026-01-31T06:30:00+01:00", datetime(2026, 1, 31, 6, 30, tzinfo=HOUR)),
        ("decimal", "0." + "1" * 38, Decimal("0." + "1" * 38)), ("decimal", "1e37", Decimal("1e37")),
        ("time", "06:30:00.123456000", time(6, 30, 0, 123456)),
    ],
)  # fmt: skip
def test_a_text_becomes_a_value(kind: Kind, text: str, value: Any) -> None:
    assert query_parameters.values({"x": Parameter(type=kind)}, {"x": text}) == {"x": text}
    found = query_parameters.converted({"x": text, "y": None}, {"x": kind, "y": kind})
    assert found == {"x": value, "y": None}
    assert type(found["x"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "1.5"), ("integer", str(2**127)), ("integer", ""), ("number", "nan"), ("number", "inf"),
        ("decimal", "NaN"), ("boolean", "yes"), ("date", "31.1.2026"), ("time", "25:00"), ("datetime", "soon"),
        ("string", "a\x00b"), ("string", "x" * 10_001), ("decimal", "1." + "0" * 37 + "1"), ("decimal", "1e38"),
        ("decimal", "1e-38"), ("time", "06:30:00.1234567"), ("datetime", "2026-01-31T06:30:00,0000001"),
    ],
)  # fmt: skip
def test_another_text_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        query_parameters.values({"x": Parameter(type=kind)}, {"x": text})
    assert refused.value.details["field"] == "x"


def test_all_wrong_parameters_are_named() -> None:
    parameters = {"a": Parameter(type="integer"), "b": Parameter(type="date", required=True)}
    with pytest.raises(errors.Invalid) as refused:
        query_parameters.values(parameters, {"a": "x", "c": "1"})
    assert [problem["field"] for problem in refused.value.details["errors"]] == ["c", "a", "b"]


def test_defaults_take_the_place_of_absent_values() -> None:
    parameters = {"a": Parameter(type="boolean", default=True), "b": Parameter(type="integer")}
    assert query_parameters.values(parameters, {}) == {"a": "true", "b": None}
    assert query_parameters.samples(parameters) == {"a": "true", "b": "1"}


@pytest.mark.parametrize(
    ("parameter", "fields"),
    [
        (Parameter(type="integer", default="x"), ["parameters.p.default"]),
        (Parameter(type="integer", enum=[1, "x"]), ["parameters.p.enum[1]"]),
        (Parameter(type="integer", enum=[1, 2], default=3), ["parameters.p.default"]),
        (Parameter(type="integer", required=True, default=3), ["parameters.p.default"]),
        (Parameter(type="integer", enum=[1, 2], default=2), []),
    ],
)
def test_a_definition_is_checked(parameter: Parameter, fields: list[str]) -> None:
    assert [problem.field for problem in query_parameters.problems("p", parameter)] == fields
