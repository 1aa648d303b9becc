"""``Idempotency-Key``: the first answer again, byte for byte, and nothing done twice."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import create_app
from service.api.services import Services
from service.kit.tokens import Tokens
from tests.api.conftest import SECRET, a_pipeline, bearer

Client = TestClient[Litestar]
CREATE = "/api/v1/pipeline/create"
EXECUTE = "/api/v1/pipeline/orders/execute?wait=0"


def post(client: Client, services: Services, path: str, key: str | None, role: str = "operator", **more: Any) -> Any:
    headers = {**bearer(services, role), **({"Idempotency-Key": key} if key is not None else {})}
    return client.post(path, headers=headers, **more)


def runs(services: Services) -> int:
    record = services.pipelines.get("orders")
    return services.history.runs(record.id, limit=50, offset=0)[1]


def test_the_same_request_gets_the_first_answer(client: Client, services: Services) -> None:
    first = post(client, services, CREATE, "k1", json=a_pipeline())
    again = post(client, services, CREATE, "k1", json=a_pipeline())
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    first = post(client, services, EXECUTE, "k2")
    again = post(client, services, EXECUTE, "k2")
    assert again.content == first.content
    assert again.status_code == first.status_code
    assert runs(services) == 1
    post(client, services, EXECUTE, "k3")
    post(client, services, EXECUTE, None)
    assert runs(services) == 3


def test_another_request_under_the_key_conflicts(client: Client, services: Services) -> None:
    assert post(client, services, CREATE, "k", json=a_pipeline()).status_code == 201
    for path, body in ((CREATE, a_pipeline("other")), (EXECUTE, None), (f"{CREATE}?x=1", a_pipeline())):
        answer = post(client, services, path, "k", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert runs(services) == 0


def test_keys_belong_to_their_callers(client: Client, services: Services) -> None:
    post(client, services, CREATE, "k", json=a_pipeline())
    assert post(client, services, EXECUTE, "k", role="admin").status_code in (200, 202)


def test_an_error_leaves_the_key_free(client: Client, services: Services) -> None:
    assert post(client, services, EXECUTE, "k").status_code == 404
    assert post(client, services, CREATE, "k", json=a_pipeline()).status_code == 201


def test_a_key_is_kept_for_a_day(client: Client, services: Services) -> None:
    post(client, services, CREATE, "k", json=a_pipeline())
    services.clock.advance(24 * 3600 - 1)  # type: ignore[attr-defined]
    assert post(client, services, CREATE, "k", json=a_pipeline()).headers["idempotency-replayed"] == "true"
    services.clock.advance(2)  # type: ignore[attr-defined]
    assert post(client, services, CREATE, "k", json=a_pipeline()).json()["error"]["code"] == "PIPELINE_EXISTS"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä".encode("latin-1").decode("latin-1"), "a\tb"])
def test_a_bad_key_is_refused(client: Client, services: Services, key: str) -> None:
    headers = {**bearer(services, "operator"), "Idempotency-Key": key.encode("latin-1")}
    answer = client.post(CREATE, headers=headers, json=a_pipeline())  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["field"] == "Idempotency-Key"


def test_requirement_19_a_key_that_was_committed_without_an_answer(client: Client, services: Services) -> None:
    """The service died between the commit and the answer: the answer is made from what was committed."""
    first = post(client, services, CREATE, "k1", json=a_pipeline())
    run = post(client, services, EXECUTE, "k2").json()
    services.store.execute("UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL")
    assert post(client, services, CREATE, "k1", json=a_pipeline()).json() == first.json()
    assert post(client, services, EXECUTE, "k2").json()["run_id"] == run["run_id"]
    assert runs(services) == 1


def test_requirement_19_requests_at_the_same_time_do_one_thing(client: Client, services: Services) -> None:
    post(client, services, CREATE, None, json=a_pipeline())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(client, services, EXECUTE, "k"), range(8)))
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert runs(services) == 1


def test_a_caller_without_the_role_gets_no_answer_again(client: Client, services: Services) -> None:
    post(client, services, CREATE, "k", json=a_pipeline())
    assert post(client, services, CREATE, "k", role="viewer", json=a_pipeline()).status_code == 403


def test_stored_keys_hold_no_request(client: Client, services: Services) -> None:
    post(client, services, CREATE, "k", json=a_pipeline(description="a secret of the request"))
    assert "a secret of the request" not in str(services.store.rows("SELECT * FROM idempotency_keys"))


def test_keys_outlive_a_rotation_of_the_signing_secret(client: Client, services: Services) -> None:
    first = post(client, services, CREATE, "k", json=a_pipeline())
    rotated = dataclasses.replace(services, tokens=Tokens(["n" * 32, SECRET], services.clock))
    app: Litestar = create_app(rotated)
    with TestClient(app) as after:
        assert post(after, services, CREATE, "k", json=a_pipeline()).content == first.content
        assert post(after, rotated, CREATE, "k", json=a_pipeline("other")).status_code == 409
