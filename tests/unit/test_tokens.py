"""Tokens: what is opened, and every way to forge one that is not."""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from tieline.base.errors import Refused, Unauthenticated
from tieline.identity import outside, scopes, tokens
from tieline.identity.model import NewClient
from tieline.identity.outside import OutsideIssuer
from tieline.identity.scopes import SCOPES, Role

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
AT = int(NOW.timestamp())
EC, OTHER_EC = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
RULES = tokens.OWN
CLAIMS: dict[str, Any] = {
    "iss": "tieline",
    "aud": "tieline-vtn",
    "sub": "v",
    "client_id": "v",
    "role": "VEN",
    "scope": "read_targets",
    "generation": 1,
    "iat": AT,
    "nbf": AT,
    "exp": AT + 3600,
    "jti": "1",
}


def b64(thing: object) -> str:
    raw = thing if isinstance(thing, bytes) else json.dumps(thing).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(
    key: Any = EC, algorithm: str = "ES256", header: Mapping[str, Any] | None = None, without: str = "", **claims: Any
) -> str:
    body = {name: value for name, value in {**CLAIMS, **claims}.items() if name != without}
    head = {"alg": algorithm, "kid": "k", "typ": "at+jwt", **(header or {})}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(head, json.dumps(body), key, registry=registry)


def opened(token: str, key: Any = EC, algorithm: str = "ES256", at: datetime = NOW) -> tokens.OwnClaims:
    """As a verifier does it: the key is of one algorithm, whatever the token says."""
    tokens.header(token)
    return tokens.own(tokens.opened(token, key, algorithm, RULES, at))


# --- our own ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (RSA, "RS256")])
def test_what_is_signed_is_opened(key: Any, algorithm: str) -> None:
    token = tokens.signed(CLAIMS, key, "k", algorithm)
    assert tokens.header(token) == tokens.Header(algorithm, "k", "at+jwt")
    assert opened(token, key, algorithm).client_id == "v"


def unsigned(algorithm: str) -> str:
    return f"{b64({'alg': algorithm, 'kid': 'k', 'typ': 'at+jwt'})}.{b64(CLAIMS)}."


def meddled() -> str:
    head, _, signature = made().split(".")
    return f"{head}.{b64({**CLAIMS, 'role': 'BL', 'scope': 'write_events'})}.{signature}"


def confused() -> str:
    """Signed by what everybody knows, for a verifier that would take the public key as a shared secret."""
    text = f"{b64({'alg': 'HS256', 'kid': 'k', 'typ': 'at+jwt'})}.{b64(CLAIMS)}"
    return f"{text}.{b64(hmac.digest(EC.as_pem(private=False), text.encode(), 'sha256'))}"


FORGED: dict[str, str] = {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "no signature": made().rpartition(".")[0] + ".",
    "HS256 with the public key as secret": confused(),
    "another's key": made(OTHER_EC),
    "another algorithm's key": made(RSA, "RS256"),
    "other claims under a true signature": meddled(),
    "a key of its own in the header": made(OTHER_EC, header={"jwk": OTHER_EC.as_dict(private=False)}),
    "wrong issuer": made(iss="https://elsewhere.example"),
    "issuers as a list": made(iss=["tieline"]),
    "wrong audience": made(aud="billing"),
    "wrong audiences": made(aud=["billing", "tieline"]),
    "expired": made(exp=AT - 6),
    "expires at no number": made(exp="tomorrow"),
    "expires at true": made(exp=True),
    "not yet": made(nbf=AT + 60),
    "issued in the future": made(iat=AT + 60),
    "a role that is none": made(role="ADMIN"),
    "a generation that is a text": made(generation="1"),
    **{f"without {name}": made(without=name) for name in CLAIMS},
    "an extension that must be known": made(header={"crit": ["b64"], "b64": True}),
    "nothing": "",
    "two parts": "a.b",
    "five parts": "a.b.c.d.e",
    "no base64": "é.é.é",
    "no JSON": "ew.ew.eA",
    "a header that is a list": "W10.e30.eA",
    "a header nested deeply": b64(b'{"a":' + b"[" * 4000) + ".e30.eA",
    "claims that are a list": jws.serialize_compact({"alg": "ES256"}, "[]", EC),
    "claims that are no text": jws.serialize_compact({"alg": "ES256"}, b"\xff", EC),
    "too long": made(jti="x" * tokens.LONGEST),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_token_is_refused_and_not_told_why(forged: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        opened(FORGED[forged])
    assert str(refusal.value) == str(tokens.refused(""))


def test_the_leeway_is_for_clocks_that_differ_and_no_more() -> None:
    assert opened(made(), at=NOW + timedelta(seconds=3604)).client_id == "v"
    with pytest.raises(Unauthenticated):
        opened(made(), at=NOW + timedelta(seconds=3605))


@given(st.text(max_size=200))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(Unauthenticated):
        opened(text)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_byte_changed_anywhere_is_refused(where: int, by: int) -> None:
    raw = bytearray(TOKEN.encode())
    at = where % len(raw)
    raw[at] = (raw[at] + by) % 128
    text = raw.decode()
    if _bytes_of(text) != _bytes_of(TOKEN):  # base64 has spare bits: another spelling of the same is the same
        with pytest.raises(Unauthenticated):
            opened(text)


TOKEN = made()


def _bytes_of(token: str) -> object:
    try:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]
    except ValueError:
        return token


def test_an_issuer_may_write_any_instant() -> None:
    assert tokens.expiry(10**300).year == 9999


# --- an outside issuer's ----------------------------------------------------------------------------------------------

KEYCLOAK = OutsideIssuer(
    issuer="https://i.example", audiences=("vtn",), role_claim="realm_access.roles", bl_values=frozenset({"ops"})
)
AUTH0 = OutsideIssuer(issuer="https://i.example", audiences=("vtn",), role_claim="https://grid.example/role")
COGNITO = OutsideIssuer(issuer="https://i.example", token_use="access", scope_prefix="vtn/")
PLAIN = OutsideIssuer(issuer="https://i.example", audiences=("vtn",))
SOME = {"exp": AT, "sub": "s"}


@pytest.mark.parametrize(
    ("issuer", "claims", "client_id", "role", "held"),
    [
        (PLAIN, {"scope": "read_all write_events openid"}, "s", Role.BL, {"read_all", "write_events"}),
        (PLAIN, {"scope": "read_all read_bl"}, "s", Role.BL, {"read_all", "read_bl"}),
        (PLAIN, {"scope": "read_all"}, "s", Role.VEN, {"read_targets", "read_ven_objects"}),
        (PLAIN, {"scp": ["write_reports"], "azp": "a"}, "a", Role.VEN, {"write_reports"}),
        (PLAIN, {"scope": "write_reports", "azp": "a", "client_id": "c"}, "c", Role.VEN, {"write_reports"}),
        (KEYCLOAK, {"scope": "openid email", "realm_access": {"roles": ["ops"]}}, "s", Role.BL, SCOPES[Role.BL]),
        (KEYCLOAK, {"scope": "write_vens", "realm_access": {"roles": ["VEN"]}}, "s", Role.VEN, {"write_vens"}),
        (AUTH0, {"https://grid.example/role": "VEN"}, "s", Role.VEN, SCOPES[Role.VEN]),
        (COGNITO, {"token_use": "access", "scope": "vtn/write_events other/read_all"}, "s", Role.BL, {"write_events"}),
    ],
)
def test_an_issuer_s_claims_tell_client_role_and_scopes(
    issuer: OutsideIssuer, claims: dict[str, Any], client_id: str, role: Role, held: set[str]
) -> None:
    found = outside.bearer(issuer, {**SOME, **claims})
    assert (found.client_id, found.role, found.scopes) == (client_id, role, frozenset(held))


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (PLAIN, {"scope": "openid"}),
        (PLAIN, {}),
        (PLAIN, {"scope": ["read_all", 7], "sub": 7}),
        (PLAIN, {"scope": "write_reports", "sub": "x" * 129}),
        (PLAIN, {"scope": "write_reports", "sub": "a\x00b"}),
        (PLAIN, {"scope": "write_reports", "sub": "\ud800"}),
        (PLAIN, {"scope": "write_reports", "sub": ""}),
        (KEYCLOAK, {"scope": "write_events", "realm_access": {"roles": ["other"]}}),
        (KEYCLOAK, {"scope": "write_events", "realm_access": "ops"}),
        (COGNITO, {"token_use": "id", "scope": "vtn/write_events"}),
        (COGNITO, {"scope": "vtn/write_events"}),
        (COGNITO, {"token_use": "access", "scope": "write_events"}),
    ],
)
def test_claims_that_tell_no_client_or_no_role_are_refused(issuer: OutsideIssuer, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        outside.bearer(issuer, {**SOME, **claims})


# --- scopes -----------------------------------------------------------------------------------------------------------

ANY = st.frozensets(st.sampled_from(sorted(scopes.KNOWN | {"openid"})))


@given(st.sampled_from(Role), st.data(), st.none() | ANY)
def test_nobody_is_given_more_than_he_holds(role: Role, data: st.DataObject, asked: frozenset[str] | None) -> None:
    held = data.draw(st.frozensets(st.sampled_from(sorted(SCOPES[role]))))
    given_ = scopes.granted(role, held, asked)
    assert given_ <= held
    assert asked is None or given_ >= held & asked


def test_reading_all_means_for_a_ven_what_it_may_read() -> None:
    given_ = scopes.granted(Role.VEN, SCOPES[Role.VEN], scopes.parsed("read_all"))
    assert scopes.told(given_) == "read_targets read_ven_objects"
    assert not scopes.granted(Role.VEN, frozenset({"write_reports"}), scopes.parsed("read_all"))


@pytest.mark.parametrize("text", ["", " ", "a  b", " a", "a ", 'a"b', "a\\b", "a\tb", "é"])
def test_what_is_no_list_of_scopes_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        scopes.parsed(text)


# --- clients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_id", ["", "x" * 129, "a b", "a:b", "a+b", "a%b", "é", "a\n", "tieline", "tieline-x"])
def test_an_id_that_basic_would_garble_or_that_is_the_platform_s_is_refused(client_id: str) -> None:
    with pytest.raises(Refused, match="client id"):
        NewClient(client_id, "n", Role.VEN)


def test_a_client_has_the_scopes_of_its_role_or_fewer() -> None:
    assert NewClient("v", "n", Role.VEN).held == SCOPES[Role.VEN]
    assert NewClient("v", "n", Role.VEN, frozenset({"write_vens"})).held == {"write_vens"}
    with pytest.raises(Refused, match="write_events"):
        NewClient("v", "n", Role.VEN, frozenset({"write_events"}))
