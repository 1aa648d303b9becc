"""The description is valid OpenAPI 3.1, tells of every route, and its page needs nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api import configuration_schema, examples, openapi, responses
from service.files import uploads
from service.kit.codes import CODES
from service.model import pipeline as pipelines
from service.model.registry import Registry
from service.model.run import Run
from tests.api.route_list import routes

Client = TestClient[Litestar]
GOLDEN = Path(__file__).parent.parent / "golden" / "routes.txt"


@pytest.fixture
def document(anonymous: Client) -> dict[str, Any]:
    answer = anonymous.get("/docs/openapi.json")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(m, p, o) for p, methods in document["paths"].items() for m, o in methods.items()]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    text = json.dumps(document)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in document["components"]["schemas"], name


def test_it_tells_of_every_route(document: dict[str, Any], app: Litestar) -> None:
    told = {f"{m.upper()} {p}" for m, p, _ in operations(document)}
    assert told == {f"{m} {p}" for m, p, _ in routes(app) if m != "OPTIONS"}
    lines = [
        f"{m.upper():6} {p}  [{', '.join(sorted(o['responses']))}]  {o['summary']}" for m, p, o in operations(document)
    ]
    assert "\n".join(lines) + "\n" == GOLDEN.read_text()


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        assert {"400", "429", "500"} <= set(operation["responses"]), where
        for status, response in operation["responses"].items():
            for media, content in response.get("content", {}).items():
                if media == "application/json" and path != "/docs/openapi.json":
                    assert "example" in content or "examples" in content, f"{where} {status}"
        for parameter in operation["parameters"]:
            assert parameter["description"], f"{where} {parameter['name']}"
        body = operation.get("requestBody")
        if body is not None and "application/json" in body["content"]:
            assert {"example", "examples"} & set(body["content"]["application/json"]), where
    names = [o["operationId"] for _, _, o in operations(document)]
    assert len(names) == len(set(names))


def test_plug_ins_are_in_the_schema_of_a_configuration(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert list(schemas["Collector"]["discriminator"]["mapping"]) == ["csv"]
    assert list(schemas["Storage"]["discriminator"]["mapping"]) == ["duckdb", "parquet"]
    step = schemas["CleanerStep"]["properties"]
    assert step["type"] == {"enum": ["cleaner"]}
    assert schemas["Cleaner"]["properties"]["drop"]["description"] == "Columns to drop."
    assert "type" not in schemas["Cleaner"]["properties"]
    assert schemas["PipelineConfiguration"]["required"] == ["name", "collectors"]


def test_a_configuration_is_taught_by_an_example_of_each_plug_in() -> None:
    registry = Registry.load()
    shown = configuration_schema.named_examples(registry)
    assert {"pipeline", "collector-api", "processor-cleaner", "storage-parquet"} <= set(shown)
    for name, example in shown.items():
        assert example["summary"], name
        pipelines.decode(example["value"], registry)


def test_every_setting_of_a_configuration_is_described(app: Litestar) -> None:
    schemas = openapi.document(app, Registry.load())["components"]["schemas"]
    steps = [ref.rpartition("/")[2] for kind in ("Collector", "Processor", "Storage")
             for ref in schemas[kind]["discriminator"]["mapping"].values()]  # fmt: skip
    assert [name for name in ["PipelineConfiguration", *steps] if not schemas[name].get("description")] == []
    settings = schemas["PipelineConfiguration"]["properties"].items()
    assert [name for name, schema in settings if not ("description" in schema or "$ref" in schema)] == []


@pytest.mark.parametrize(
    ("component", "setting", "words"),
    [
        ("Analyzer", None, ["ddof 1", "corrected for bias", "NaN"]),
        ("Analyzer", "quantiles", ["linear"]),
        ("Analyzer", "correlation", ["complete pairs", "average ranks"]),
        ("Normalize", "method", ["ddof 0", "linear percentiles", "scale 1"]),
        ("Outlier", "method", ["ddof 1", "linear"]),
        ("Fill", "strategy", ["float64", "several modes the least"]),
        ("Bin", None, ["lower edge", "KBinsDiscretizer", "pandas' cut"]),
        ("Encode", None, ["ascending order", "equally frequent ones the least"]),
        ("Encode", "smoothing", ["m in (n"]),
        ("Calendar", "parts", ["ISO 8601"]),
        ("Rolling", "function", ["ddof 1"]),
        ("Aggregate", None, ["ddof 1"]),
        ("Step", None, ["Such a count is null"]),
    ],
)
def test_conventions_are_told(component: str, setting: str | None, words: list[str], app: Litestar) -> None:
    document = openapi.document(app, Registry.load())
    told = document["components"]["schemas"][component]
    text = (told if setting is None else told["properties"][setting])["description"]
    assert [word for word in words if word not in text] == []


def test_descriptions_are_for_people_who_do_not_read_the_source(app: Litestar) -> None:
    document = openapi.document(app, Registry.load())
    told = {n: c.get("description", "") for n, c in document["components"]["schemas"].items()}
    assert [name for name, text in told.items() if "``" in text or "\n    " in text] == []


def test_error_answers_say_what_their_codes_mean(app: Litestar) -> None:
    paths = openapi.document(app, Registry.load())["paths"]
    answers = paths["/api/v1/query"]["post"]["responses"]
    assert CODES["INVALID_SQL"].meaning in answers["400"]["description"]
    assert answers["503"]["content"]["application/json"]["examples"]["OVERLOADED"]["value"]["error"] == {
        "code": "OVERLOADED", "message": CODES["OVERLOADED"].example, "details": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        (Run, examples.RUN), (responses.Status, examples.STATUS), (responses.Stats, examples.STATS),
        (responses.VersionView, examples.VERSION), (responses.PipelineLine, examples.LINE),
        (responses.TableView, examples.TABLE), (responses.Readiness, examples.READINESS),
        (uploads.Uploaded, examples.UPLOADED), (responses.Profiles, examples.PROFILES),
    ],
)  # fmt: skip
def test_examples_are_what_they_show(kind: type[msgspec.Struct], example: dict[str, Any]) -> None:
    assert set(example) == set(kind.__struct_fields__)
    msgspec.convert(example, kind)


def test_the_page_needs_nobody_else(anonymous: Client) -> None:
    page = anonymous.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert re.findall(r"https?://", page.text) == []
    for link in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        part = anonymous.get(link)
        assert part.status_code == 200, link
        assert len(part.content) > 100
    assert anonymous.get("/docs/core.py").status_code == 404
