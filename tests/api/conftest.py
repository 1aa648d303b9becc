"""The application over an in-memory catalog and doubles, a clock that stands still, and an account of each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import Api
from service.api.services import Services
from service.catalog.api_keys import ApiKeys
from service.catalog.audit_log import AuditLog
from service.catalog.deliveries import Deliveries
from service.catalog.history import History
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.saved_queries import SavedQueries
from service.catalog.schedules import Schedules
from service.catalog.sessions import Sessions
from service.catalog.store import Store
from service.catalog.trigger_inputs import TriggerInputs
from service.catalog.users import Users
from service.catalog.version_marks import VersionMarks
from service.files.layout import Layout
from service.kit import ids
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.kit.tokens import Tokens
from service.model.registry import Registry
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs.backup import Backups
from service.runs.change_feed import ChangeFeed
from service.runs.condition import Condition
from service.runs.held_versions import HeldVersions
from service.runs.verification import Verifier
from service.runs.version_upkeep import VersionUpkeep
from service.steps.collector import Collector
from service.steps.processor import Processor
from service.steps.storage import Storage
from tests import stores
from tests.api.doubles import Engine, Supervisor, Tasks

PASSWORD = "a long enough password"
ROLES = ("viewer", "operator", "admin")
SECRET = "s" * 32


class Csv(Collector, frozen=True, kw_only=True, tag="csv"):
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "csv", "file_path": "orders.csv"}
    file_path: str


class Cleaner(Processor, frozen=True, kw_only=True, tag="cleaner"):
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "cleaner", "config": {"drop": ["a"]}}
    drop: Annotated[list[str], msgspec.Meta(description="Columns to drop.")] = []


class Parquet(Storage, frozen=True, kw_only=True, tag="parquet"):
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "parquet"}
    password: str | None = None


class Duckdb(Storage, frozen=True, kw_only=True, tag="duckdb"):
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "duckdb"}
    table: str | None = None
    primary_key: str | list[str] | None = None


def a_pipeline(name: str = "orders", **changes: Any) -> dict[str, Any]:
    return {"name": name, "collectors": [{"type": "csv", "file_path": "x.csv"}], **changes}


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=20_000, max_upload_bytes=3_000_000)


@pytest.fixture(scope="session")
def accounts() -> Store:
    """An account of each role; hashing takes a moment, so it is done once and copied."""
    store = stores.new()
    users = Users(store, FixedClock())
    for role in ROLES:
        users.add(role, PASSWORD, role)  # type: ignore[arg-type]
    return store


@pytest.fixture
def services(tmp_path: Path, clock: FixedClock, settings: Settings, accounts: Store) -> Iterator[Services]:
    store, layout, registry = stores.new(), Layout(tmp_path), Registry()
    layout.create()
    registry.collectors.add(Csv)
    registry.processors.add(Cleaner)
    registry.storages.add(Parquet)
    registry.storages.add(Duckdb)
    for row in accounts.rows("SELECT * FROM users"):
        store.execute(f"INSERT INTO users VALUES ({', '.join(f'${name}' for name in row)})", row)
    pipelines, history, integrity = Pipelines(store, clock), History(store), Integrity(layout)
    condition = Condition(store, history, layout, integrity)

    async def alive() -> bool:
        return True

    async def source_of(version: Version) -> str:
        return version.run_id

    async def quarantine_of(version: Version) -> str:
        return f"refused by {version.run_id}"

    audit = AuditLog(layout.audit, store, clock, queries=settings.audit_queries, sync=lambda _: None)
    yield Services(
        settings=settings, clock=clock, registry=registry, layout=layout, store=store, pipelines=pipelines,
        history=history, ownership=Ownership(store), schedules=Schedules(store, clock),
        trigger_inputs=TriggerInputs(store), deliveries=Deliveries(store, clock),
        users=Users(store, clock), sessions=Sessions(store, clock), tokens=Tokens([SECRET], clock),
        supervisor=(supervisor := Supervisor(pipelines, history, clock)), engine=Engine(), tasks=Tasks(),
        source_of=source_of, quarantine_of=quarantine_of,
        backups=Backups(store, history, layout, clock),
        sandbox="landlock 7", workers_alive=alive, condition=lambda: "ok",
        marks=(marks := VersionMarks(store)),
        upkeep=(upkeep := VersionUpkeep(history, pipelines, marks, layout, clock, integrity)),
        verify=Verifier(store, history, pipelines, layout, condition).verify,
        held=HeldVersions(supervisor, history, pipelines, upkeep, layout, integrity, clock),
        saved=SavedQueries(store, clock), keys=ApiKeys(store, clock), audit=audit,
        changes=ChangeFeed(store, []),
    )  # fmt: skip
    audit.close()


@pytest.fixture(scope="session")
def routes() -> Api:
    """The routes, which take a moment to make and are the same for each test."""
    return Api()


@pytest.fixture
def app(routes: Api, services: Services) -> Litestar:
    routes.bind(services)
    return routes


@pytest.fixture
def anonymous(app: Litestar) -> Iterator[TestClient[Litestar]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def bearer(services: Services, role: str) -> dict[str, str]:
    """The headers of a user with that role."""
    return {"authorization": f"Bearer {services.tokens.issue(role, ids.new('fam'))}"}


@pytest.fixture
def client(anonymous: TestClient[Litestar], services: Services) -> TestClient[Litestar]:
    """An admin."""
    anonymous.headers.update(bearer(services, "admin"))
    return anonymous


@pytest.fixture
def supervisor(services: Services) -> Supervisor:
    assert isinstance(services.supervisor, Supervisor)
    return services.supervisor


@pytest.fixture
def engine(services: Services) -> Engine:
    assert isinstance(services.engine, Engine)
    return services.engine


@pytest.fixture
def tasks(services: Services) -> Tasks:
    assert isinstance(services.tasks, Tasks)
    return services.tasks


@pytest.fixture
def orders(client: TestClient[Litestar]) -> TestClient[Litestar]:
    """The pipeline ``orders`` with two versions; the first cannot be applied."""
    client.post("/api/v1/pipeline/create", json=a_pipeline())
    client.post("/api/v1/pipeline/orders/execute")
    client.post("/api/v1/pipeline/orders/execute")
    return client
