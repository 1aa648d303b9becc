"""All routes and all callers: one table of who gets what from each route. A new route fails until it is placed here.

Requirements 42 and 43 of the security page: every route has a guard or is on a list, and what belongs to others is a
404. The table is printed (``pytest -s``).
"""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.console import site
from service.model.api_key import KeyDefinition
from service.model.rights import Rights
from service.model.user import RANK
from tests.api.conftest import PASSWORD, a_pipeline, bearer
from tests.api.doubles import Tasks
from tests.api.route_list import routes

Client = TestClient[Litestar]
HIDDEN, UNUSED = "payroll", "payrolx"
CALLERS = ("nobody", "viewer", "other", "admin", "owner", "narrow key", "query key")
ROLE = {"viewer": "viewer", "other": "operator", "admin": "admin", "owner": "operator", "narrow key": "operator"}
"""``other`` is an operator who owns nothing; both keys are the owner's."""

BELOW = ("/api/v1/pipeline/{name", "/api/v1/runs/{run_id")
"""What names a pipeline or a run of one: 404 for those who do not see it, before the request is read."""

OPEN = {
    "GET /", "GET /docs", "GET /docs/guide", "GET /docs/guide/{page}", "GET /docs/openapi.json", "GET /docs/{asset}",
    "GET /health", "GET /health/ready", "GET /console", "GET /console/{path}", "GET /console/assets/{file}",
}  # fmt: skip
LOG_IN = {
    "POST /api/v1/auth/token", "POST /api/v1/auth/refresh", "POST /api/v1/auth/session", "DELETE /api/v1/auth/session",
    "POST /api/v1/auth/session/refresh", "POST /api/v1/auth/session/link",
}  # fmt: skip
"""For everybody but keys with ``queries``; those of sessions not for any key."""
PEOPLE = {
    "GET /api/v1/users", "POST /api/v1/users", "PATCH /api/v1/users/{username}", "DELETE /api/v1/users/{username}",
    "POST /api/v1/auth/password", "GET /api/v1/keys", "POST /api/v1/keys", "PATCH /api/v1/keys/{id}",
    "DELETE /api/v1/keys/{id}",
}  # fmt: skip
"""Not for keys with bounds, and changed by no key."""
WHOLE = {
    "POST /api/v1/admin/backup",
    "POST /api/v1/admin/verify",
    "GET /api/v1/audit",
    "GET /metrics",
    "GET /api/v1/processes",
}
"""About the whole service: not for keys with bounds."""
HIDING = {
    "GET /api/v1/tables/{table}", "GET /api/v1/queries/{name}", "DELETE /api/v1/queries/{name}", "GET /api/v1/q/{name}",
}  # fmt: skip
"""What names a table of the private pipeline, or a saved query over it."""
LISTS = {
    "GET /api/v1/pipeline", "GET /api/v1/queries", "GET /api/v1/schedules", "GET /api/v1/tables", "GET /api/v1/files",
    "GET /api/v1/auth/me", "GET /api/v1/overview", "GET /api/v1/events",
}  # fmt: skip
"""For everybody with the role; they leave out what the caller does not see."""
REST = {
    "POST /api/v1/auth/logout", "PUT /api/v1/files/{path}", "DELETE /api/v1/files/{path}", "POST /api/v1/query",
    "POST /api/v1/pipeline/create", "POST /api/v1/pipeline/plan", "POST /api/v1/pipeline/preview",
    "POST /api/v1/pipeline/probe", "POST /api/v1/pipeline/validate", "PUT /api/v1/queries/{name}",
}  # fmt: skip
"""For everybody with the role; what they may name is tested where they are."""
PLACES = {
    "open": OPEN, "log-in": LOG_IN, "people": PEOPLE, "whole": WHOLE, "hiding": HIDING, "list": LISTS, "rest": REST,
}  # fmt: skip


def place_of(route: str) -> str:
    """Where a route stands in this table."""
    if route.partition(" ")[2].startswith(BELOW):
        return "below"
    found = [place for place, members in PLACES.items() if route in members]
    assert len(found) == 1, f"{route}: say who may have it, in one of {', '.join(PLACES)}"
    return found[0]


def expected(route: str, role: str, caller: str) -> str:
    """The status of a cell; ``in``: the caller is admitted."""
    place, key = place_of(route), caller.endswith("key")
    sessions = route.endswith(("/auth/session", "/auth/session/refresh", "/auth/session/link"))
    if place == "open" or (place == "log-in" and not key):
        return "in"
    if caller == "nobody":
        return "401"
    if caller == "query key" or (key and sessions):
        return "404" if route == "GET /api/v1/q/{name}" else "403"
    if role in RANK and RANK[ROLE[caller]] < RANK[role]:  # type: ignore[index]
        return "403"
    if key and place in ("people", "whole"):
        return "403"
    if place in ("below", "hiding") and caller in ("viewer", "other", "narrow key"):
        return "404"
    return "in"


@pytest.fixture
def callers(anonymous: Client, services: Services, tasks: Tasks) -> dict[str, dict[str, str]]:
    """The headers of each caller; ``owner`` has the private pipeline with a run, a table and a saved query."""
    services.users.add("owner", PASSWORD, "operator")
    tasks.content = b'{"columns": null, "why": "a double does not trace"}'
    headers = {"nobody": {}, "other": bearer(services, "operator")}
    headers |= {who: bearer(services, who) for who in ("viewer", "admin", "owner")}
    for name, bounds in (("narrow key", {"pipelines": ["open*"]}), ("query key", {"queries": ["towns"]})):
        _, secret = services.keys.add("owner", KeyDefinition(name=name, **bounds))  # type: ignore[arg-type]
        headers[name] = {"authorization": f"Bearer {secret}"}
    for name in (HIDDEN, "open"):
        made = anonymous.post("/api/v1/pipeline/create", json=a_pipeline(name), headers=headers["owner"])
        assert made.status_code == 201
        for _ in range(2):
            anonymous.post(f"/api/v1/pipeline/{name}/execute", headers=headers["owner"])
    services.ownership.change(
        HIDDEN, Rights(username="root", role="admin"), {"owner": "owner", "visibility": "private"}
    )
    definition: Any = anonymous.put("/api/v1/queries/pay-day", json={"sql": "SELECT 1"}, headers=headers["owner"])
    assert definition.status_code == 201
    services.store.execute(
        "UPDATE saved_queries SET value = json_merge_patch(value, $change) WHERE name = 'pay-day'",
        {"change": f'{{"tables": ["{HIDDEN}"]}}'},
    )
    return headers


def filled(path: str, services: Services, name: str = HIDDEN) -> str:
    """The path with what belongs to the private pipeline in it."""
    runs, _ = services.history.runs(services.pipelines.get(HIDDEN).id, limit=1, offset=0)
    of_queries = path.startswith(("/api/v1/q/", "/api/v1/queries/"))
    values = {
        "name": ("pay-day" if name == HIDDEN else "pay-dax") if of_queries else name, "table": name, "number": "2",
        "tag": "stable", "key": "1", "username": "viewer", "path": "x.csv", "asset": "start.js", "page": "reading",
        "file": next(iter(site.assets())),
        "id": "key_none", "run_id": runs[0].run_id if name == HIDDEN else "run_none",
    }  # fmt: skip
    for hole, value in values.items():
        path = path.replace("{" + hole + "}", value)
    assert "{" not in path, f"{path}: say what stands there"
    return path


def refused(method: str, route: str, place: str) -> str:
    """A parameter that no handler knows: what is admitted changes nothing, since that is refused with 400."""
    if route == "GET /api/v1/events":
        return "?bogus=1"
    return "" if method == "GET" or place == "hiding" else "?bogus=1"


def all_routes(app: Litestar) -> list[tuple[str, str, str]]:
    found = [(f"{m} {p}", m, r) for m, p, r in routes(app) if m != "OPTIONS"]
    assert len(found) > 80
    placed = {route for members in PLACES.values() for route in members}
    assert placed <= {route for route, _, _ in found}, "a route that is gone still has a place"
    return sorted(found, key=lambda one: (one[0].partition(" ")[2], one[1] == "DELETE", one[1]))


def test_requirement_42_every_route_and_every_caller(
    app: Litestar, anonymous: Client, services: Services, callers: dict[str, dict[str, str]]
) -> None:
    lines, wrong = [f"{'':58}" + "".join(f"{caller:>12}" for caller in CALLERS)], []
    for route, method, role in all_routes(app):
        cells, place = [], place_of(route)
        for caller in CALLERS:
            if method == "DELETE" and place == "hiding" and expected(route, role, caller) == "in":
                cells.append("in")  # the first one would remove it for the next
                continue
            path = filled(route.partition(" ")[2], services) + refused(method, route, place)
            answer = anonymous.request(method, path, headers=callers[caller])
            got = str(answer.status_code) if answer.status_code in (401, 403, 404) else "in"
            if got == "in" and (answer.status_code >= 500 or (method == "GET" and answer.status_code >= 400)):
                got = f"in: {answer.status_code}"
            if got.startswith("in") and caller not in ("owner", "admin") and place not in ("open", "log-in"):
                assert HIDDEN not in answer.text, (route, caller)
            cells.append(got)
            told = expected(route, role, caller)
            if got != told and not (told == "in" and got in NEEDS_MORE.get(route, ())):
                wrong.append(f"{route}: {caller} got {got} ({answer.text[:200]}), not {told}")
        lines.append(f"{route:58}" + "".join(f"{cell:>12}" for cell in cells))
    print(*lines, sep="\n")
    assert wrong == []


NEEDS_MORE = {"GET /api/v1/pipeline/{name}/rows/{key}": ("in: 409",), "GET /api/v1/events": ("in: 400",)}
"""Routes that answer so to whoever is admitted: the pipeline has no key; a stream without an end is asked wrongly."""


def test_requirement_43_hidden_and_unused_names_get_the_same_answers(
    app: Litestar, anonymous: Client, services: Services, callers: dict[str, dict[str, str]]
) -> None:
    """Whatever else is right or wrong with the request."""
    tried = 0
    for route, method, _ in all_routes(app):
        if place_of(route) not in ("below", "hiding"):
            continue
        for caller in ("viewer", "other", "narrow key", "query key", "nobody"):
            for query in ("", "?bogus=1", "?version=0", "?format=pdf"):
                told = []
                for name in (HIDDEN, UNUSED):
                    path = filled(route.partition(" ")[2], services, name)
                    answer = anonymous.request(method, path + query, headers=callers[caller])
                    text = answer.text.replace(answer.headers["x-request-id"], "")
                    for part in sorted(path.split("/"), key=len, reverse=True):
                        text = text.replace(f"'{part}'", "'…'")
                    told.append((answer.status_code, text))
                assert told[0] == told[1], (route, caller, query)
                if place_of(route) == "below":
                    assert told[0][0] in (401, 403, 404), (route, caller, told[0])
                tried += 1
    assert tried > 600
