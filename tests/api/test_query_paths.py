"""The paths of saved queries in the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api import openapi
from service.api.query_paths import ApiDocument, column_schema
from service.api.services import Services
from service.catalog.saved_queries import SavedQueries
from service.model.answers import ColumnType
from service.model.query_parameters import Parameter
from service.model.saved_query import QueryDefinition


def test_names_that_programs_write_alike_are_two_operations(app: Litestar, services: Services) -> None:
    saved = SavedQueries(services.store, services.clock)
    definition = QueryDefinition(sql="SELECT $x AS x", parameters={"x": Parameter(type="date", required=True)})
    columns = [ColumnType(name="x", type="DATE")]
    for name in ("a-b", "a_b"):
        saved.put(name, definition, by="ann", columns=columns, tables=[], repeatable=True)
    document = ApiDocument(openapi.document(app, services.registry))
    shown = json.loads(document.encoded(saved.all()))
    OpenAPIV31SpecValidator(shown).validate()
    operations = [shown["paths"][f"/api/v1/q/{name}"]["get"]["operationId"] for name in ("a-b", "a_b")]
    assert operations == ["query_a_b", "query_a_b_2"]
    (parameter,) = (p for p in shown["paths"]["/api/v1/q/a-b"]["get"]["parameters"] if p["name"] == "x")
    assert (parameter["required"], parameter["schema"]) == (True, {"type": "string", "format": "date"})
    assert "/api/v1/q/a-b" not in json.loads(document.encoded([]))["paths"]


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("BIGINT", {"type": ["integer", "null"]}),
        ("HUGEINT", {"type": ["integer", "null"]}),
        ("UINTEGER", {"type": ["integer", "null"]}),
        ("DOUBLE", {"type": ["number", "null"]}),
        ("DECIMAL(18,2)", {"type": ["string", "null"]}),
        ("BOOLEAN", {"type": ["boolean", "null"]}),
        ("DATE[]", {"type": ["array", "null"], "items": {"type": ["string", "null"], "format": "date"}}),
        ("STRUCT(a INTEGER)", {}),
        ("BIGINT[3]", {}),
    ],
)
def test_columns_have_the_types_of_their_answers(kind: str, schema: dict[str, Any]) -> None:
    assert column_schema(kind) == schema
