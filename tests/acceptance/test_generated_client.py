"""A client that a generator makes of the OpenAPI document: it logs in, creates, executes, queries and reads."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance.served import CSV, PASSWORD, Served, serving

pytestmark = pytest.mark.slow

PACKAGE = "penstock_generated"
QUERY = {
    "sql": "SELECT id, city FROM cities WHERE id >= $least ORDER BY id",
    "parameters": {"least": {"type": "integer", "default": 1}},
}
Module = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("generated") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as running:
        running.login()
        assert running.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        running.json("POST", "/pipeline/create", status=201, json=document)
        running.json("POST", "/pipeline/cities/execute?wait=60")
        running.json("PUT", "/queries/from-id", status=201, json=QUERY)
        yield running


@pytest.fixture(scope="module")
def generated(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    """The modules of the generated client."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(served.http.get(f"{served.address}/docs/openapi.json").content)
    (folder / "settings.json").write_text(json.dumps({"package_name_override": PACKAGE, "post_hooks": []}))
    command = [
        sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config",
        "settings.json", "--output-path", PACKAGE, "--meta", "none",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for lost in ("will not be generated", "removal of", "duplicate models", "Could not find"):
        assert lost not in done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"{PACKAGE}.{name}" if name else PACKAGE)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def client(served: Served, generated: Module) -> Iterator[Any]:
    """Logged in by the generated log-in."""
    models = generated("models")
    log_in = generated("api.authentication.log_in")
    with generated("").Client(base_url=served.address) as anonymous:
        pair = log_in.sync(client=anonymous, body=models.Credentials(username="admin", password=PASSWORD))
    assert isinstance(pair, models.TokenPair)
    with generated("").AuthenticatedClient(base_url=served.address, token=pair.access_token) as logged_in:
        yield logged_in


def test_it_creates_and_executes(generated: Module, client: Any) -> None:
    models = generated("models")
    collector = models.CsvCollector(type_=models.CsvCollectorType.CSV, file_path="cities.csv")
    cleaner = models.CleanerStep(type_=models.CleanerStepType.CLEANER, config=models.Cleaner(strip_strings=True))
    configuration = models.PipelineConfiguration(name="towns", collectors=[collector], processors=[cleaner])
    saved = generated("api.pipelines.create").sync(client=client, body=configuration)
    assert saved == models.Saved(message="pipeline 'towns' created", name="towns", revision=1)
    run = generated("api.pipelines.execute").sync("towns", client=client, wait=60.0)
    assert (type(run), run.status.value, run.rows_stored) == (models.Run, "completed", 3)
    assert [step.step for step in run.steps] != []
    again = generated("api.pipelines.create").sync_detailed(client=client, body=configuration)
    assert (again.status_code, again.parsed.error.code) == (409, "PIPELINE_EXISTS")


def test_it_queries_and_reads(generated: Module, client: Any) -> None:
    models = generated("models")
    statement = models.Statement(sql="SELECT count(*) AS n FROM cities WHERE id > ?", parameters=[1])
    result = generated("api.sql.ask").sync(client=client, body=statement)
    assert [row.to_dict() for row in result.data] == [{"n": 2}]
    page = generated("api.results.read_data").sync("cities", client=client, sort="-id", limit=2)
    assert (page.total_rows, [row["id"] for row in page.data]) == (3, [3, 2])
    schema = generated("api.results.read_schema").sync("cities", client=client)
    assert [column.name for column in schema.columns] == ["id", "city"]
    versions = generated("api.results.list_versions").sync("cities", client=client)
    assert [version.version for version in versions.items] == [1]


def test_a_saved_query_is_a_typed_function(generated: Module, client: Any) -> None:
    result = generated("api.sql.query_from_id").sync(client=client, least=2)
    assert [(row.id, row.city) for row in result.data] == [(2, "Rome"), (3, None)]


def test_it_uploads(generated: Module, client: Any, tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_bytes(b"a\n1\n")
    with path.open("rb") as file:
        body = generated("types").File(payload=file)
        stored = generated("api.files.upload").sync("more.csv", client=client, body=body)
    assert (stored.path, stored.bytes_) == ("more.csv", 4)
