"""The audit log over HTTP: what each action leaves in it, what never does, who may read it, and how."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from service.api import audit_actions
from service.api.app import create_app
from service.api.audit import Audit
from service.api.audit_actions import Action
from service.api.services import Services
from service.files import audit_file
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.rights import Rights
from tests.api.conftest import PASSWORD, a_pipeline, bearer
from tests.api.doubles import Engine

Client = TestClient[Litestar]
API = "/api/v1"
READING = {
    "POST /api/v1/pipeline/validate", "POST /api/v1/pipeline/plan", "POST /api/v1/pipeline/{name}/apply",
    "POST /api/v1/pipeline/{name}/rows",
}  # fmt: skip
"""Routes that change nothing although they are not GET."""
SQL = {"POST /api/v1/query", "GET /api/v1/q/{name}", "GET /api/v1/pipeline/{name}/data"}
"""Routes that read rows by SQL of the caller or of a saved query."""


def events(services: Services) -> list[dict[str, Any]]:
    """What the log has, oldest first."""
    asyncio.run(services.audit.flush())
    files = [audit_file.path(services.audit.folder, day) for day in audit_file.days(services.audit.folder)]
    return [msgspec.json.decode(line) for file in files for line in file.read_bytes().splitlines()]


def brief(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("action", "actor", "object", "outcome", "code"))


def test_every_route_that_changes_something_names_an_action(app: Litestar) -> None:
    without, names, sql = set(), [], set()
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods - {"OPTIONS"}:
                action: Action | None = handler.opt.get("action")
                path = f"{method} {route.path_format}"
                if action is not None:
                    names.append(action)
                    sql |= {path} if action.is_query else set()
                elif method != "GET":
                    without.add(path)
    assert without == READING
    assert sql == SQL
    declared = [value for value in vars(audit_actions).values() if isinstance(value, Action)]
    assert {action.name for action in declared} - {action.name for action in names} == {"backup.restore"}
    assert len({action.name for action in declared}) == len(declared)


def test_what_must_be_on_disk_before_the_answer() -> None:
    declared = [value for value in vars(audit_actions).values() if isinstance(value, Action)]
    assert {action.name for action in declared if action.at_once} == {
        "auth.login", "auth.link", "auth.refresh", "auth.logout",
        "user.create", "user.change", "user.password", "user.delete",
        "pipeline.create", "pipeline.change", "pipeline.delete", "version.delete", "version.restore", "file.delete",
        "tag.delete", "saved_query.delete", "backup.create", "backup.restore", "pipeline.share",
        "key.create", "key.change", "key.delete",
    }  # fmt: skip
    assert {action.name for action in declared if action.adds} == {
        "user.create", "pipeline.create", "pipeline.change", "version.restore", "backup.create", "key.create",
    }  # fmt: skip


Call = Callable[[Client], Any]
CALLS: list[tuple[Call, tuple[Any, ...]]] = [
    (lambda c: c.post(f"{API}/users", json={"username": "ann", "password": PASSWORD, "role": "viewer"}),
     ("user.create", "admin", "ann", "ok", None)),
    (lambda c: c.post(f"{API}/users", json={"username": "ann", "password": PASSWORD, "role": "viewer"}),
     ("user.create", "admin", None, "refused", "USER_EXISTS")),
    (lambda c: c.post(f"{API}/users", json={"username": "ann", "password": "short", "role": "viewer"}),
     ("user.create", "admin", None, "refused", "VALIDATION_ERROR")),
    (lambda c: c.patch(f"{API}/users/ann", json={"role": "operator", "password": PASSWORD + "!"}),
     ("user.change", "admin", "ann", "ok", None)),
    (lambda c: c.delete(f"{API}/users/ann"), ("user.delete", "admin", "ann", "ok", None)),
    (lambda c: c.delete(f"{API}/users/{PASSWORD}"), ("user.delete", "admin", None, "refused", "USER_NOT_FOUND")),
    (lambda c: c.delete(f"{API}/users/admin"), ("user.delete", "admin", "admin", "refused", "LAST_ADMIN")),
    (lambda c: c.post(f"{API}/keys", json={"name": "nightly", "role": "viewer"}),
     ("key.create", "admin", "nightly", "ok", None)),
    (lambda c: c.delete(f"{API}/keys/psk_{PASSWORD}"), ("key.delete", "admin", None, "refused", "NOT_FOUND")),
    (lambda c: c.post(f"{API}/pipeline/create", json=a_pipeline()), ("pipeline.create", "admin", "orders", "ok", None)),
    (lambda c: c.put(f"{API}/pipeline/orders/config", json=a_pipeline(description="x")),
     ("pipeline.change", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/pipeline/orders/execute"), ("run.execute", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/pipeline/orders/execute"), ("run.execute", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/pipeline/nothing/execute"),
     ("run.execute", "admin", "nothing", "refused", "PIPELINE_NOT_FOUND")),
    (lambda c: c.post(f"{API}/pipeline/orders/quarantine/replay"), ("run.replay", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/runs/run_x/cancel"), ("run.cancel", "admin", "run_x", "refused", "RUN_NOT_FOUND")),
    (lambda c: c.post(f"{API}/pipeline/orders/versions/2/tag", json={"tag": "stable"}),
     ("version.tag", "admin", "orders/2", "ok", None)),
    (lambda c: c.delete(f"{API}/pipeline/orders/tags/stable"), ("tag.delete", "admin", "orders/stable", "ok", None)),
    (lambda c: c.delete(f"{API}/pipeline/orders/versions/9"),
     ("version.delete", "admin", "orders/9", "refused", "VERSION_NOT_FOUND")),
    (lambda c: c.put(f"{API}/files/a/b.csv", content=b"a\n"), ("file.upload", "admin", "a/b.csv", "ok", None)),
    (lambda c: c.delete(f"{API}/files/a/b.csv"), ("file.delete", "admin", "a/b.csv", "ok", None)),
    (lambda c: c.post(f"{API}/query", json={"sql": "SELECT 1"}), ("query.run", "admin", None, "ok", None)),
    (lambda c: c.post(f"{API}/query", json={}), ("query.run", "admin", None, "refused", "VALIDATION_ERROR")),
    (lambda c: c.get(f"{API}/pipeline/orders/data", params={"filter": "price > 3"}),
     ("query.data", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/admin/backup", json={"directory": "backups"}),
     ("backup.create", "admin", None, "refused", "VALIDATION_ERROR")),
    (lambda c: c.post(f"{API}/admin/verify"), ("data.verify", "admin", None, "ok", None)),
    (lambda c: c.delete(f"{API}/pipeline/orders?purge=true"), ("pipeline.delete", "admin", "orders", "ok", None)),
    (lambda c: c.post(f"{API}/auth/password", json={"old": "x", "new": PASSWORD}),
     ("user.password", "admin", None, "refused", "INVALID_CREDENTIALS")),
    (lambda c: c.post(f"{API}/auth/logout"), ("auth.logout", "admin", None, "ok", None)),
    (lambda c: c.post(f"{API}/pipeline/orders/execute"), ("run.execute", None, "orders", "refused", "UNAUTHORIZED")),
]  # fmt: skip


def test_what_actions_leave(client: Client, services: Services) -> None:
    answers = [call(client) for call, _ in CALLS]
    found = events(services)
    assert [brief(event) for event in found] == [expected for _, expected in CALLS]
    assert [event["request_id"] for event in found] == [answer.headers["x-request-id"] for answer in answers]
    assert {event["address"] for event in found} == {"testclient"}
    assert {event["time"] for event in found} == {"2026-01-01T00:00:00Z"}
    assert PASSWORD not in repr(found)
    assert "psk_" not in repr(found)
    by_action = {event["action"]: event for event in found if event["outcome"] == "ok"}
    assert by_action["user.create"]["details"] == {"role": "viewer"}
    assert by_action["user.change"]["details"] == {"role": "operator", "changes": ["password", "role"]}
    assert by_action["run.execute"]["details"]["location"].startswith("/api/v1/runs/run_")
    assert by_action["version.tag"]["details"] == {"tag": "stable"}
    assert by_action["pipeline.delete"]["details"] == {"purge": "true"}
    assert by_action["query.run"]["query_sha256"] == hashlib.sha256(b"SELECT 1").hexdigest()
    assert by_action["query.data"]["query_sha256"] == hashlib.sha256(b"price > 3").hexdigest()
    assert not [event for event in found if "query" in event]


def test_reading_leaves_nothing(orders: Client, services: Services) -> None:
    before = events(services)
    for path in ("pipeline", "pipeline/orders/data", "tables", "users", "audit", "auth/me", "nothing"):
        orders.get(f"{API}/{path}")
    assert events(services) == before


def test_requirement_52_log_ins_are_recorded_without_secrets(anonymous: Client, services: Services) -> None:
    wrong = "not the password"
    pair = anonymous.post(f"{API}/auth/token", json={"username": "viewer", "password": PASSWORD}).json()
    anonymous.post(f"{API}/auth/token", json={"username": "viewer", "password": wrong})
    anonymous.post(f"{API}/auth/token", json={"username": PASSWORD, "password": wrong})
    anonymous.post(f"{API}/auth/token", json={"username": "viewer"})
    fresh = anonymous.post(f"{API}/auth/refresh", json={"refresh_token": pair["refresh_token"]}).json()
    anonymous.post(f"{API}/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    anonymous.post(f"{API}/auth/refresh", json={"refresh_token": "pr_unknown"})
    found = events(services)
    assert [brief(event) for event in found] == [
        ("auth.login", "viewer", None, "ok", None),
        ("auth.login", "viewer", None, "refused", "INVALID_CREDENTIALS"),
        ("auth.login", None, None, "refused", "INVALID_CREDENTIALS"),
        ("auth.login", None, None, "refused", "VALIDATION_ERROR"),
        ("auth.refresh", "viewer", None, "ok", None),
        ("auth.refresh", "viewer", None, "refused", "UNAUTHORIZED"),
        ("auth.refresh", None, None, "refused", "UNAUTHORIZED"),
    ]
    for secret in (PASSWORD, wrong, pair["access_token"], fresh["refresh_token"], pair["refresh_token"], "pr_unknown"):
        assert secret not in repr(found)


def test_sessions_of_browsers(anonymous: Client, services: Services) -> None:
    csrf = {"x-penstock-csrf": "1"}
    anonymous.post(f"{API}/auth/session", json={"username": "viewer", "password": PASSWORD})
    spent = anonymous.cookies["penstock_session"]
    anonymous.post(f"{API}/auth/session/refresh", headers=csrf)
    anonymous.delete(f"{API}/auth/session")
    anonymous.cookies.clear()
    anonymous.post(f"{API}/auth/session/refresh", headers=csrf)
    anonymous.delete(f"{API}/auth/session")
    anonymous.post(f"{API}/auth/session", json={"username": "viewer", "password": PASSWORD})
    again = anonymous.cookies["penstock_session"]
    anonymous.post(f"{API}/auth/session/refresh", headers=csrf)
    anonymous.cookies.clear()
    anonymous.post(f"{API}/auth/session/refresh", headers={**csrf, "cookie": f"penstock_session={again}"})
    found = events(services)
    assert [brief(event) for event in found] == [
        ("auth.login", "viewer", None, "ok", None),
        ("auth.refresh", "viewer", None, "ok", None),
        ("auth.logout", "viewer", None, "ok", None),
        ("auth.login", "viewer", None, "ok", None),
        ("auth.refresh", "viewer", None, "ok", None),
        ("auth.refresh", "viewer", None, "refused", "UNAUTHORIZED"),
    ]
    assert spent not in repr(found)
    assert again not in repr(found)


def test_strangers_fill_no_disk(anonymous: Client, services: Services, clock: FixedClock) -> None:
    for _ in range(15):
        anonymous.delete(f"{API}/users/admin")
    assert len(events(services)) == 10
    for _ in range(15):
        anonymous.post(f"{API}/auth/token", json={"username": "x", "password": "y"})
    found = [event["code"] for event in events(services)][10:]
    assert found == ["INVALID_CREDENTIALS"] * 10  # and none of those that the limit of log-ins refused
    clock.advance(60)
    anonymous.delete(f"{API}/users/admin")
    assert len(events(services)) == 21


def test_a_repeated_request_is_recorded_again(client: Client, services: Services) -> None:
    for _ in range(2):
        client.post(f"{API}/pipeline/create", json=a_pipeline(), headers={"idempotency-key": "k"})
    assert [brief(event)[:4] for event in events(services)] == [
        ("pipeline.create", "admin", "orders", "ok"), ("pipeline.create", "admin", None, "ok"),
    ]  # fmt: skip
    assert ["repeated" in event["details"] for event in events(services)] == [False, True]


def test_what_failed(orders: Client, services: Services, engine: Engine) -> None:
    engine.failure = ZeroDivisionError("hunter2")
    orders.post(f"{API}/query", json={"sql": "SELECT 1"})
    engine.failure = errors.Unavailable("busy")
    orders.post(f"{API}/query", json={"sql": "SELECT 1"})
    assert [brief(event)[3:] for event in events(services)[-2:]] == [
        ("failed", "INTERNAL_ERROR"), ("refused", "OVERLOADED"),
    ]  # fmt: skip


@pytest.mark.parametrize(("queries", "expected"), [("text", ["SELECT 1"]), ("hash", [None]), ("off", [])])
def test_texts_of_queries(services: Services, queries: Any, expected: list[Any]) -> None:
    settings = msgspec.structs.replace(services.settings, audit_queries=queries)
    services.audit.queries = queries
    app = create_app(services.__class__(**{**vars(services), "settings": settings}))
    with TestClient(app) as client:
        client.post(f"{API}/query", json={"sql": "SELECT 1"}, headers=bearer(services, "viewer"))
    assert [event.get("query") for event in events(services)] == expected


def test_who_goes_before_the_answer_is_recorded(services: Services) -> None:
    async def gone(scope: Any, receive: Any, send: Any) -> None:
        scope["route_handler"] = Handler
        scope["path_params"] = {"name": "orders"}
        raise asyncio.CancelledError

    class Handler:
        opt: ClassVar[dict[str, Any]] = {"action": audit_actions.EXECUTE}

    async def call(user: Rights | None) -> None:
        scope: Any = {"type": "http", "user": user, "query_string": b"", "client": ("10.0.0.1", 1), "headers": []}
        with pytest.raises(asyncio.CancelledError):
            await Audit(gone, services)(scope, None, None)  # type: ignore[arg-type]

    asyncio.run(call(Rights(username="ann", role="operator", account="ann", key="key_1")))
    asyncio.run(call(None))  # a stranger did nothing
    (event,) = events(services)
    assert brief(event) == ("run.execute", "ann", "orders", "failed", None)
    assert event["key"] == "key_1"


# reading


@pytest.fixture
def filled(client: Client, services: Services, clock: FixedClock) -> Client:
    """Five days with two events each."""
    for day in range(5):
        for name, action in (("ann", "user.create"), ("bob", "query.run")):
            services.audit.submit(services.audit.event(action, actor=name, address="10.0.0.1", object=f"day {day}"))
        clock.advance(86400)
    asyncio.run(services.audit.flush())
    client.headers.update(bearer(services, "admin"))
    return client


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]),
        ("actor=ann", [4, 3, 2, 1, 0]),
        ("actor=nobody", []),
        ("actor=an", []),
        ("action=query.run&limit=2", [4, 3]),
        ("action=user", [4, 3, 2, 1, 0]),
        ("action=us", []),
        ("since=2026-01-04T00:00:00Z", [4, 4, 3, 3]),
        ("since=2026-01-04T00:00:00Z&until=2026-01-05T00:00:00Z", [3, 3]),
        ("since=2026-01-04T05:00:00%2B05:00&actor=bob", [4, 3]),
        ("until=2026-01-01T00:00:00Z", []),
    ],
)
def test_filters(filled: Client, query: str, expected: list[int]) -> None:
    answer = filled.get(f"{API}/audit?{query}")
    assert answer.status_code == 200, answer.text
    assert [int(event["object"][-1]) for event in answer.json()["items"]] == expected


def test_pages(filled: Client) -> None:
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = filled.get(f"{API}/audit?limit=3{cursor and f'&cursor={cursor}'}").json()
        found, cursor = found + page["items"], page["next"]
    assert [event["object"][-1] for event in found] == list("4433221100")
    assert {event["hash"] for event in found} == {event["hash"] for event in filled.get(f"{API}/audit").json()["items"]}


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("since=yesterday", "since"),
     ("since=2026-01-01", "since"), ("since=2026-01-01T00:00:00", "since"), ("until=1", "until"), ("who=ann", "who"),
     ("cursor=../../etc/passwd", "cursor"), ("cursor=2026-13-01:5", "cursor"), ("actor=a&actor=b", "actor"),
     ("action=" + "x" * 65, "action"), ("offset=3", "offset")],
)  # fmt: skip
def test_wrong_parameters_are_named(filled: Client, query: str, field: str) -> None:
    answer = filled.get(f"{API}/audit?{query}")
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field), answer.text


def test_only_admins_read_it(anonymous: Client, services: Services) -> None:
    statuses = [
        anonymous.get(f"{API}/audit", headers=bearer(services, role)).status_code
        for role in ("viewer", "operator", "admin")
    ]
    assert statuses == [403, 403, 200]


# a log that cannot be written


@pytest.fixture
def broken(client: Client, services: Services) -> Client:
    """The folder of the log has become a file."""
    folder = services.audit.folder
    client.post(f"{API}/pipeline/create", json=a_pipeline("before"))
    services.audit._chain.close()
    folder.rename(folder.with_name("away"))
    folder.write_text("a file")
    asyncio.run(_fails(services))
    return client


async def _fails(services: Services) -> None:
    with pytest.raises(errors.Unavailable):
        await services.audit.record(services.audit.event("x"))


def test_without_a_log_nothing_is_added_and_what_shuts_out_goes_on(broken: Client, services: Services) -> None:
    def status(answer: Any) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["code"] if answer.status_code >= 400 else ""

    full = (507, "STORAGE_FULL")
    new = {"username": "ann", "password": PASSWORD, "role": "viewer"}
    assert status(broken.post(f"{API}/users", json=new)) == full
    assert services.users.account("ann") is None
    assert status(broken.post(f"{API}/pipeline/create", json=a_pipeline())) == full
    assert status(broken.put(f"{API}/pipeline/before/config", json=a_pipeline("before"))) == full
    assert status(broken.patch(f"{API}/users/viewer", json={"role": "admin"})) == full
    assert status(broken.post(f"{API}/auth/token", json={"username": "operator", "password": PASSWORD})) == full
    assert status(broken.post(f"{API}/admin/backup", json={"directory": "/x"})) == full
    assert status(broken.post(f"{API}/query", json={"sql": "SELECT 1"})) == (200, "")
    assert status(broken.patch(f"{API}/users/viewer", json={"disabled": True})) == (200, "")
    assert status(broken.delete(f"{API}/users/operator")) == (204, "")
    assert status(broken.delete(f"{API}/pipeline/before")) == (200, "")
    assert broken.get("/health/ready").json()["checks"]["audit"].startswith("failed: the audit log cannot be written")
    assert status(broken.post(f"{API}/auth/logout")) == (200, "")
    folder = services.audit.folder
    folder.unlink()
    folder.with_name("away").rename(folder)
    recorded = [brief(event)[0] for event in events(services)]
    assert {"query.run", "user.change", "user.delete", "pipeline.delete", "auth.logout"} <= {*recorded}
    assert services.audit.broken is None
