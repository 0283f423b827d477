"""Tokens, scopes and roles: RFC 6749 at /auth/token, and which scope opens which operation (Definition, "Security")."""

import base64
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.conformance.samples import KINDS, Sample
from tests.conformance.vtn import DIALECTS, Credentials, Dialect, Echo, Vtn, unique

GRANT = {"grant_type": "client_credentials"}
ROLES = {
    "bl": {"read_all", "read_bl", "write_programs", "write_events", "write_subscriptions", "write_vens"},
    "ven": {"read_targets", "read_ven_objects", "write_reports", "write_subscriptions", "write_vens"},
}
READING = {
    kind: {"read_all", "read_targets" if kind in ("programs", "events") else "read_ven_objects"} for kind in KINDS
}
WRITING = {kind: {f"write_{kind}" if kind != "resources" else "write_vens"} for kind in KINDS}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    dialect: Dialect = request.param
    return dialect


def ask(
    vtn: Vtn, form: dict[str, str], *, dialect: Dialect = "3.1.0", basic: tuple[str, str] | None = None
) -> httpx.Response:
    return httpx.post(f"{vtn.url(dialect)}/auth/token", data=form, auth=basic, timeout=60)


def secrets(who: Credentials) -> dict[str, str]:
    return {"client_id": who.client_id, "client_secret": who.secret}


@pytest.mark.clause("security: token endpoint")
def test_where_tokens_come_from(vtn: Vtn, dialect: Dialect) -> None:
    told = httpx.get(f"{vtn.url(dialect)}/auth/server", timeout=60)
    assert told.status_code == 200
    assert told.json() == {"tokenURL": f"{vtn.url(dialect)}/auth/token"}


@pytest.mark.clause("security: token endpoint")
def test_a_secret_in_the_header_or_in_the_body_buys_a_token(vtn: Vtn, dialect: Dialect) -> None:
    who = vtn.usual("ven")
    for answer in (
        ask(vtn, GRANT, dialect=dialect, basic=who),
        ask(vtn, GRANT | secrets(who), dialect=dialect),
        ask(vtn, GRANT | {"client_id": who.client_id}, dialect=dialect, basic=who),
        ask(vtn, GRANT | secrets(who) | {"scope": ""}, dialect=dialect),
        ask(vtn, GRANT | secrets(who) | {"audience": "anyone", "resource": "anything"}, dialect=dialect),
    ):
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["token_type"] == "Bearer"
        assert told["expires_in"] > 0
        assert set(told["scope"].split()) == ROLES["ven"]
        assert answer.headers["cache-control"] == "no-store"
        client = vtn.anyone(dialect, authorization=f"bearer {told['access_token']}")
        assert client.get("programs").status_code == 200


@pytest.mark.clause("security: token endpoint")
@pytest.mark.parametrize(
    ("form", "basic", "status", "error"),
    [
        ({}, True, 400, "invalid_request"),
        ({"grant_type": "password"}, True, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, True, 400, "unsupported_grant_type"),
        (GRANT, False, 401, "invalid_client"),
        (GRANT | {"client_id": "nobody", "client_secret": "x"}, False, 401, "invalid_client"),
        (GRANT | {"client_id": "' OR 1=1 --", "client_secret": "\x00"}, False, 401, "invalid_client"),
        (GRANT | {"client_secret": "both"}, True, 400, "invalid_request"),
        (GRANT | {"scope": "write_programs"}, True, 400, "invalid_scope"),
        (GRANT | {"scope": "no such scope"}, True, 400, "invalid_scope"),
        (GRANT | {"scope": 'a"b'}, True, 400, "invalid_scope"),
    ],
)
def test_what_buys_no_token(vtn: Vtn, form: dict[str, str], basic: bool, status: int, error: str) -> None:
    who = vtn.usual("ven")
    answer = ask(vtn, form, basic=who if basic else None)
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert status != 401 or answer.headers["www-authenticate"].startswith("Basic")
    assert who.secret not in answer.text


@pytest.mark.clause("security: token endpoint")
def test_a_wrong_secret_and_a_wrong_client_are_told_the_same(vtn: Vtn) -> None:
    who = vtn.usual("ven")
    wrong = ask(vtn, GRANT, basic=(who.client_id, "wrong"))
    nobody = ask(vtn, GRANT, basic=("nobody", "wrong"))
    assert (wrong.status_code, wrong.text) == (nobody.status_code, nobody.text)


@pytest.mark.clause("security: token endpoint")
def test_headers_that_are_no_basic(vtn: Vtn) -> None:
    who = vtn.usual("ven")
    pair = f"{who.client_id}:{who.secret}"
    for given, status in {
        f"Basic {base64.b64encode(pair.encode()).decode()}": 200,
        f"basic {base64.b64encode(pair.encode()).decode()}": 200,
        f"Basic {base64.b64encode(f'{quote(who.client_id)}:{quote(who.secret)}'.encode()).decode()}": 200,
        f"Basic {pair}": 401,
        "Basic": 401,
        "Basic \xff".encode("latin-1").decode("latin-1"): 401,
        f"Basic {base64.b64encode(who.client_id.encode()).decode()}": 401,
        f"Basic {'A' * 100_000}": 401,
    }.items():
        sent = [(b"authorization", given.encode("latin-1"))]
        answer = httpx.post(f"{vtn.url()}/auth/token", data=GRANT, headers=sent, timeout=60)
        assert answer.status_code == status or (len(given) > 60_000 and answer.status_code == 431), given[:40]


@pytest.mark.clause("security: token endpoint")
def test_the_endpoint_takes_forms_only(vtn: Vtn) -> None:
    who = vtn.usual("ven")
    url = f"{vtn.url()}/auth/token"
    assert httpx.post(url, json=GRANT | secrets(who), timeout=60).status_code == 400
    assert httpx.get(url, params=GRANT | secrets(who), timeout=60).status_code == 405
    twice = f"grant_type=client_credentials&client_id={who.client_id}&client_secret=x&client_secret={who.secret}"
    assert httpx.post(url, content=twice, timeout=60).status_code == 400
    assert httpx.post(url, content=b"x=" + b"y" * 200_000, timeout=60).status_code == 400


@pytest.mark.clause("security: token endpoint")
def test_anyone_can_verify_a_token(vtn: Vtn) -> None:
    keys = httpx.get(f"{vtn.platform.url}/.well-known/jwks.json", timeout=60).json()
    assert not any("d" in key for key in keys["keys"])
    who = vtn.usual("bl")
    claims = jwt.decode(vtn.token(who), KeySet.import_key_set(keys), algorithms=["ES256"]).claims
    assert (claims["client_id"], claims["role"]) == (who.client_id, "BL")


@pytest.mark.clause("security: scopes")
def test_a_client_may_ask_for_less_than_it_holds(vtn: Vtn) -> None:
    who = vtn.usual("bl")
    told = ask(vtn, GRANT | {"scope": "read_all write_events"}, basic=who).json()
    assert set(told["scope"].split()) == {"read_all", "write_events"}
    client = vtn.anyone(authorization=f"Bearer {told['access_token']}")
    assert client.get("programs").status_code == 200
    assert client.post("programs", json={"programName": "x"}).status_code == 403


@pytest.mark.clause("security: scopes")
def test_a_ven_of_3_0_1_asks_for_read_all_and_reads_what_a_ven_may(vtn: Vtn) -> None:
    """It is told what it asked for: some clients take any other scope for a failure."""
    who = vtn.usual("ven")
    told = ask(vtn, GRANT | secrets(who) | {"scope": "write_reports read_all"}).json()
    assert set(told["scope"].split()) == {"read_all", "write_reports"}
    client = vtn.anyone("3.0.1", authorization=f"Bearer {told['access_token']}")
    for path in ("programs", "events", "vens", "reports", "subscriptions"):
        assert client.get(path).status_code == 200
    assert vtn.anyone(authorization=client.headers["authorization"]).get("notifiers").status_code == 200
    assert client.post("vens", json={"venName": "x"}).status_code == 403


@pytest.mark.clause("security: scopes")
def test_each_scope_opens_its_operations_and_no_other(vtn: Vtn, echo: Echo, dialect: Dialect) -> None:
    sample = Sample(vtn, echo, dialect)
    for role, held in ROLES.items():
        who = vtn.usual("bl" if role == "bl" else "ven")
        for scope in held:
            token = ask(vtn, GRANT | {"scope": scope}, dialect=dialect, basic=who).json()["access_token"]
            client = vtn.anyone(dialect, authorization=f"Bearer {token}")
            for kind in KINDS:
                opened = scope in READING[kind]
                for path in (sample.collection(kind), sample.one(kind)):
                    assert (client.get(path).status_code != 403) == opened, (role, scope, path)
                for method, path, _ in sample.writes(kind):
                    status = client.request(method, path, json={"nothing": "valid"}).status_code
                    assert (status != 403) == (scope in WRITING[kind]), (role, scope, method, path, status)


@pytest.mark.clause("security: scopes")
@pytest.mark.parametrize(
    ("reads", "told"),
    [
        ("", []),
        ("read_targets", ["PROGRAM", "EVENT"]),
        ("read_ven_objects", ["REPORT", "SUBSCRIPTION", "VEN", "RESOURCE"]),
    ],
)
def test_a_client_is_told_only_of_what_its_scopes_read(
    vtn: Vtn, echo: Echo, dialect: Dialect, reads: str, told: list[str]
) -> None:
    """Neither by a new subscription nor by a changed one; business logic is bound by its own in the same way."""
    bl, who = vtn.client("bl"), vtn.usual("ven")
    program = bl.post("programs", json={"programName": unique()}).json()["id"]
    wish = {"operations": ["CREATE"], "callbackUrl": f"{echo.url}/{unique()}"}
    made = {"clientName": "c", "programID": program, "objectOperations": [wish | {"objects": ["EVENT"]}]}
    own = vtn.client(who, dialect).post("subscriptions", json=made).json()
    token = ask(vtn, GRANT | {"scope": f"write_subscriptions {reads}".strip()}, basic=who).json()["access_token"]
    client = vtn.anyone(dialect, authorization=f"Bearer {token}")
    for kind in ("PROGRAM", "EVENT", "REPORT", "SUBSCRIPTION", "VEN", "RESOURCE"):
        for kinds in ([kind], [*told, kind]):
            body = made | {"objectOperations": [wish | {"objects": kinds}]}
            expected = (201, 200) if kind in told else (403, 403)
            answers = client.post("subscriptions", json=body), client.put(f"subscriptions/{own['id']}", json=body)
            assert tuple(one.status_code for one in answers) == expected, (kinds, answers[0].text, answers[1].text)
    writer = ask(vtn, GRANT | {"scope": "write_subscriptions"}, basic=vtn.usual("bl")).json()["access_token"]
    refused_ = vtn.anyone(dialect, authorization=f"Bearer {writer}").post("subscriptions", json=made)
    assert refused_.status_code == 403
    assert "read_all" in refused_.json()["detail"]


@pytest.mark.clause("security: scopes")
def test_a_client_s_own_scopes_bound_its_tokens(vtn: Vtn) -> None:
    reader = vtn.enrol("bl", scope="read_all")
    told: dict[str, Any] = ask(vtn, GRANT, basic=reader).json()
    assert told["scope"] == "read_all"
    assert ask(vtn, GRANT | {"scope": "write_events"}, basic=reader).json()["error"] == "invalid_scope"


@pytest.mark.clause("security: non-authenticating")
def test_an_open_platform_shows_what_has_no_targets_to_anyone(fresh_vtn: Any) -> None:
    vtn: Vtn = fresh_vtn(anonymous_reads="true")
    vtn.platform.start()
    bl = vtn.client("bl")
    shown = bl.post("programs", json={"programName": "tariff"}).json()["id"]
    hidden = bl.post("programs", json={"programName": "private", "targets": ["x"]}).json()["id"]
    for dialect in DIALECTS:
        anyone = vtn.anyone(dialect)
        assert [one["id"] for one in anyone.get("programs").json()] == [shown]
        assert anyone.get(f"programs/{hidden}").status_code == 404
        assert anyone.get("vens").status_code == 401
        assert anyone.post("programs", json={"programName": "x"}).status_code == 401
