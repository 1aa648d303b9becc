"""Answers about metadata: their columns, facts and patterns."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from service.catalog.statements import load_sql
from service.client.errors import NoService, error_of
from service.flight import errors, messages, metadata, sql_info
from service.flight.errors import Refused
from service.flight.metadata import pattern
from service.flight.statements import Statement
from service.kit.codes import CODES

NEVER_OF_A_CALLER = {405, 406, 412, 415, 416, 431, 500}


def test_the_system_tables_are_those_of_the_service() -> None:
    assert set(metadata.SYSTEM_TABLES) == set(load_sql("system_tables")) - {"column_types", "query_tables"}


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        ("ord%", ["orders", "ORDERS", "ord"], ["my_orders"]),
        ("order_", ["orders"], ["order", "orderss"]),
        ("a\\_b", ["a_b"], ["axb"]),
        ("a.b", ["a.b"], ["axb"]),
        ("%", ["", "x\ny"], []),
        ("", [""], ["x"]),
    ],
)
def test_patterns(text: str, fitting: list[str], others: list[str]) -> None:
    fits = pattern(messages.new("CommandGetTables", table_name_filter_pattern=text), "table_name_filter_pattern")
    assert [name for name in fitting + others if fits(name)] == fitting


def test_facts_are_answered_by_their_numbers() -> None:
    facts = dict(zip(*(column.to_pylist() for column in sql_info.info([0, 3, 557, 99_999]).columns), strict=True))
    assert facts == {0: "Penstock", 3: True, 557: 65_536}
    whole = sql_info.info([])
    whole.validate(full=True)
    assert whole.num_rows > 40


def test_types_are_in_order() -> None:
    whole = sql_info.types(None)
    whole.validate(full=True)
    numbers = whole.column("data_type").to_pylist()
    assert numbers == sorted(numbers)
    assert sql_info.types(12).column("type_name").to_pylist() == ["VARCHAR"]


def test_every_error_of_the_service_has_a_status() -> None:
    for code, entry in CODES.items():
        body = b'{"error": {"code": "%s", "message": "m", "details": {}}}' % code.encode()
        refused = errors.refusal(error_of(entry.status, body, retry_after="3"))
        assert str(refused) == f"m ({code}); try again after 3 s"
        assert (refused.code is StatusCode.INTERNAL) == (entry.status in NEVER_OF_A_CALLER), code
    assert errors.refusal(NoService("gone")).code is StatusCode.UNAVAILABLE


def test_a_message_is_not_longer_than_a_trailer() -> None:
    assert len(str(Refused("é" * 100_000)).encode()) < 8_192


def test_handles_are_statements() -> None:
    statement = Statement("SELECT ?", [1])
    assert Statement.of(statement.handle) == statement
    for wrong in (b"", b"x", b"\x92\x01\x02", statement.handle + b"x"):
        with pytest.raises(Refused, match="not a handle"):
            Statement.of(wrong)
