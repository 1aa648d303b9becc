"""Callers with tokens of an issuer: the same routes, roles and limits as accounts, and nobody's but their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.kit import errors
from service.kit import settings as configuration
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.network.issuer_keys import PAUSE_SECONDS
from tests import hostile_tokens
from tests.api.conftest import SECRET, a_pipeline, bearer
from tests.issuer import AUDIENCE, Issuer, ec_key, issuing, key_set, public, rsa_key, token

Client = TestClient[Litestar]
ME = "/api/v1/auth/me"
CREATE = "/api/v1/pipeline/create"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture
def settings(issuer: Issuer) -> Settings:
    return Settings(max_body_bytes=20_000, oidc_issuer=issuer.url, oidc_audience=AUDIENCE)


def sent(text: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}", **more}


def code(answer: object) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")  # type: ignore[attr-defined]


def test_a_token_opens_the_routes_of_its_role(anonymous: Client, issuer: Issuer) -> None:
    viewer, operator = token(issuer.url), token(issuer.url, ec_key(), "e1", sub="bob", roles=["operator"])
    shown = anonymous.get(ME, headers=sent(viewer)).json()
    assert shown == {
        "username": "oidc:ann", "role": "viewer", "created": "2026-01-01T00:00:00Z", "disabled": False
    }  # fmt: skip
    assert code(anonymous.post(CREATE, json=a_pipeline(), headers=sent(viewer))) == (403, "FORBIDDEN")
    assert code(anonymous.post(CREATE, json=a_pipeline(), headers=sent(operator))) == (201, "")
    assert code(anonymous.get("/api/v1/users", headers=sent(operator))) == (403, "FORBIDDEN")
    assert code(anonymous.get(ME, headers=sent(token(issuer.url, roles=["boss"])))) == (403, "FORBIDDEN")


def test_requirement_34_hostile_tokens_are_401(anonymous: Client, services: Services, issuer: Issuer) -> None:
    """Requirement 34: 98 hostile tokens and more, of the service and of its issuer; none is a 500."""
    corpus = {**hostile_tokens.own(SECRET, "admin"), **hostile_tokens.foreign(issuer.url)}
    assert len(corpus) >= 2 * 98
    answers = {name: anonymous.get(ME, headers=sent(text)) for name, text in corpus.items()}
    assert {name: code(a) for name, a in answers.items() if a.status_code != 401} == {}
    assert {name for name, a in answers.items() if not a.headers["www-authenticate"].startswith("Bearer")} == set()
    for good in (token(issuer.url), services.tokens.issue("admin", "fam_1")):  # what they are variations of
        assert anonymous.get(ME, headers=sent(good)).status_code == 200
    assert len(issuer.hits) == 2  # no forged key made the service ask again


def test_nobody_takes_the_place_of_an_account(anonymous: Client, services: Services, issuer: Issuer) -> None:
    """The subject may be the name of an account: keys and rights are still apart."""
    foreign = token(issuer.url, sub="operator", roles=["operator"])
    key = {"Idempotency-Key": "k"}
    assert code(anonymous.post(CREATE, json=a_pipeline(), headers={**bearer(services, "operator"), **key})) == (201, "")
    answer = anonymous.post(CREATE, json=a_pipeline(), headers=sent(foreign, **key))
    assert code(answer) == (409, "PIPELINE_EXISTS")  # not the answer to the account's request
    assert code(anonymous.post("/api/v1/auth/logout", headers=sent(foreign))) == (400, "VALIDATION_ERROR")
    change = {"old": "a long enough password", "new": "quite another password"}
    assert code(anonymous.post("/api/v1/auth/password", json=change, headers=sent(foreign))) == (
        400,
        "VALIDATION_ERROR",
    )
    taken = {"username": "oidc:operator", "password": "a long enough password", "role": "admin"}
    assert code(anonymous.post("/api/v1/users", json=taken, headers=bearer(services, "admin"))) == (
        400,
        "VALIDATION_ERROR",
    )
    services.users.delete("operator")
    assert anonymous.get(ME, headers=sent(foreign)).status_code == 200


def test_a_private_pipeline_of_a_caller_without_account(anonymous: Client, services: Services, issuer: Issuer) -> None:
    mine = sent(token(issuer.url, roles=["operator"]))
    assert code(anonymous.post(CREATE, json=a_pipeline(), headers=mine)) == (201, "")
    path = "/api/v1/pipeline/orders"
    assert anonymous.patch(path, json={"visibility": "private"}, headers=mine).json()["owner"] == "oidc:ann"
    bob, boss = sent(token(issuer.url, sub="bob")), sent(token(issuer.url, sub="boss", roles=["admin"]))
    others = (bob, bearer(services, "operator"), boss, mine)
    assert [anonymous.get(f"{path}/config", headers=h).status_code for h in others] == [404, 404, 200, 200]


def test_rotation(anonymous: Client, issuer: Issuer, clock: FixedClock) -> None:
    old, new = token(issuer.url), token(issuer.url, rsa_key("two"), "k2")
    assert anonymous.get(ME, headers=sent(old)).status_code == 200
    issuer.keys = key_set(public(rsa_key("two"), "k2"))
    assert code(anonymous.get(ME, headers=sent(new))) == (401, "UNAUTHORIZED")  # it was looked a moment ago
    clock.advance(PAUSE_SECONDS)
    assert anonymous.get(ME, headers=sent(new)).status_code == 200
    assert code(anonymous.get(ME, headers=sent(old))) == (401, "UNAUTHORIZED")  # its key was withdrawn
    issuer.keys = key_set(public(rsa_key("three"), None))
    clock.advance(PAUSE_SECONDS)
    assert anonymous.get(ME, headers=sent(token(issuer.url, rsa_key("three"), None))).status_code == 200


def test_an_issuer_that_is_down(anonymous: Client, services: Services, issuer: Issuer, clock: FixedClock) -> None:
    issuer.status = 500
    held = token(issuer.url)
    refused = anonymous.get(ME, headers=sent(held))
    assert (code(refused), refused.headers["retry-after"]) == ((503, "ISSUER_UNAVAILABLE"), "10")
    assert anonymous.get("/health", headers=sent(held)).status_code == 200
    assert anonymous.get(ME, headers=bearer(services, "viewer")).status_code == 200
    issuer.status = 200
    clock.advance(PAUSE_SECONDS)
    assert anonymous.get(ME, headers=sent(held)).status_code == 200
    issuer.status = 500
    clock.advance(1800)
    assert [anonymous.get(ME, headers=sent(held)).status_code for _ in range(3)] == [200] * 3
    clock.advance(1800 + 30 + PAUSE_SECONDS)
    assert code(anonymous.get(ME, headers=sent(held))) == (401, "TOKEN_EXPIRED")


GOOD = {"PENSTOCK_OIDC_ISSUER": "https://issuer.test/realm", "PENSTOCK_OIDC_AUDIENCE": "penstock"}


def test_settings() -> None:
    text = "staff=viewer, cn=ops=operator"
    loaded = configuration.load({**GOOD, "PENSTOCK_OIDC_ROLE_MAP": text, "PENSTOCK_OIDC_ROLE_CLAIM": "a.b"})
    assert loaded.oidc_role_map == {"staff": "viewer", "cn=ops": "operator"}
    loaded = configuration.load({**GOOD, "PENSTOCK_OIDC_ROLE_MAP": '{"cn=ops,dc=x": "admin", "*": "viewer"}'})
    assert loaded.oidc_role_map == {"cn=ops,dc=x": "admin", "*": "viewer"}


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [("ISSUER", None, "AUDIENCE"), ("AUDIENCE", None, "AUDIENCE"), ("AUDIENCE", "", "AUDIENCE"),
     ("ISSUER", "issuer.test", "ISSUER"), ("ISSUER", "https://x?y", "ISSUER"), ("ISSUER", "https://a@b", "ISSUER"),
     ("ISSUER", "", "ISSUER"), ("ISSUER", "https://x:y", "ISSUER"), ("ISSUER", "ftp://x", "ISSUER"),
     ("ROLE_MAP", "viewer", "ROLE_MAP"), ("ROLE_MAP", "a=king", "ROLE_MAP"), ("ROLE_MAP", "", "ROLE_MAP"),
     ("ROLE_MAP", "{", "ROLE_MAP"), ("ROLE_MAP", "=viewer", "ROLE_MAP"), ("ROLE_CLAIM", "", "ROLE_CLAIM")],
)  # fmt: skip
def test_wrong_settings_are_named(name: str, value: str | None, named: str) -> None:
    given = {**GOOD, f"PENSTOCK_OIDC_{name}": value}
    with pytest.raises(errors.Invalid, match=f"PENSTOCK_OIDC_{named}"):
        configuration.load({variable: text for variable, text in given.items() if text is not None})
