"""Tokens that nobody was given, on every operation: 401, a challenge, a problem, and not a word of why."""

import base64
import hmac
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from tests.conformance.refusals import refused
from tests.conformance.samples import Sample
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn

HOUR = 3600


class Forge(NamedTuple):
    """What a forger can get hold of: an honest token's parts, the public key; and, for the worst case, the private."""

    header: dict[str, Any]
    claims: dict[str, Any]
    public: ECKey
    private: ECKey

    def signed(self, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """By the issuer's own key, where no other is given; a claim of None is left out."""
        told = {name: value for name, value in (self.claims | claims).items() if value is not None}
        head = {name: value for name, value in (self.header | (header or {})).items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
        return jws.serialize_compact(head, json.dumps(told), key or self.private, registry=registry)

    def unsigned(self, signature: str = "", **header: Any) -> str:
        return f"{encoded(self.header | header)}.{encoded(self.claims)}.{signature}"


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def decoded(part: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return told


@pytest.fixture(scope="module")
def forge(vtn: Vtn) -> Forge:
    token = vtn.token(vtn.usual("bl"))
    header, claims = map(decoded, token.split(".")[:2])
    (public,) = [key for key in _keys(vtn) if key["kid"] == header["kid"]]
    rows = sqlite3.connect(f"file:{vtn.platform.folder}/data/rows.sqlite?mode=ro", uri=True)
    ((pem,),) = rows.execute("SELECT private_pem FROM signing_key WHERE kid = ?", [header["kid"]]).fetchall()
    rows.close()
    return Forge(header, claims, ECKey.import_key(public), ECKey.import_key(pem))


def _keys(vtn: Vtn) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = httpx.get(f"{vtn.platform.url}/.well-known/jwks.json", timeout=60).json()["keys"]
    return keys


def hmac_by_public_key(forge: Forge) -> str:
    """By hand: a library that knows the trick refuses to help."""
    signed = f"{encoded(forge.header | {'alg': 'HS256'})}.{encoded(forge.claims)}"
    mac = hmac.new(forge.public.as_pem(private=False), signed.encode(), "sha256").digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


OTHER = ECKey.generate_key("P-256")
FORGED: dict[str, Callable[[Forge], str]] = {
    "algorithm none": lambda forge: forge.unsigned(alg="none"),
    "algorithm NoNe, with a signature": lambda forge: forge.unsigned("AAAA", alg="NoNe"),
    "no algorithm": lambda forge: forge.unsigned("AAAA", alg=None),
    "HS256 by the public key": hmac_by_public_key,
    "an algorithm that is not the key's": lambda forge: forge.unsigned("AAAA", alg="RS256"),
    "another's key": lambda forge: forge.signed(ECKey.generate_key("P-256")),
    "another's key, brought along": lambda forge: forge.signed(OTHER, {"jwk": OTHER.as_dict(private=False)}),
    "another's key, to be fetched": lambda forge: forge.signed(OTHER, {"jku": "http://127.0.0.1:9/keys", "kid": "x"}),
    "a key that does not exist": lambda forge: forge.signed(header={"kid": "x"}),
    "a key by a path": lambda forge: forge.signed(header={"kid": "../../../../dev/null"}),
    "a key by SQL": lambda forge: forge.signed(header={"kid": "' UNION SELECT 1 --"}),
    "no key": lambda forge: forge.signed(header={"kid": None}),
    "an extension": lambda forge: forge.signed(header={"crit": ["b64"], "b64": True}),
    "another kind of token": lambda forge: forge.signed(header={"typ": "JWT"}),
    "no signature": lambda forge: forge.unsigned(),
    "a signature of another's claims": lambda forge: (
        f"{encoded(forge.header)}.{encoded(forge.claims | {'sub': 'x'})}." + forge.signed().rpartition(".")[2]
    ),
    "another issuer": lambda forge: forge.signed(iss="someone"),
    "no issuer": lambda forge: forge.signed(iss=None),
    "another audience": lambda forge: forge.signed(aud="someone"),
    "no audience": lambda forge: forge.signed(aud=None),
    "expired": lambda forge: forge.signed(exp=int(time.time()) - HOUR),
    "without an end": lambda forge: forge.signed(exp=None),
    "an end that is no number": lambda forge: forge.signed(exp="never"),
    "not valid yet": lambda forge: forge.signed(nbf=int(time.time()) + HOUR),
    "another client": lambda forge: forge.signed(client_id="nobody", sub="nobody"),
    "an older secret": lambda forge: forge.signed(generation=0),
    "another role": lambda forge: forge.signed(role="ADMIN"),
    "claims that are no object": lambda forge: jws.serialize_compact(forge.header, "[]", forge.private),
    "a device's secret": lambda _: "k3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3y",
    "dots": lambda _: "..",
    "very long": lambda forge: forge.signed(jti="x" * 20_000),
    "deep": lambda _: f"{base64.urlsafe_b64encode(b'[' * 4000).decode()}.e30.AAAA",
    "no base64": lambda _: "!!!.???.***",
}
SCHEMES = ["", "Bearer", "Basic {}", "bearer{}", "Token {}", "Bearer {}, Bearer {}", "Negotiate", "DPoP {}", "{}"]


@pytest.fixture(scope="module", params=DIALECTS)
def sample(request: pytest.FixtureRequest, vtn: Vtn, echo: Echo) -> Sample:
    dialect: Dialect = request.param
    return Sample(vtn, echo, dialect)


@pytest.mark.clause("security: tokens verified")
def test_forged_tokens_open_nothing(vtn: Vtn, sample: Sample, forge: Forge) -> None:
    told = set()
    for what, made in FORGED.items():
        nobody = vtn.anyone(sample.dialect, authorization=f"Bearer {made(forge)}")
        for method, path, body in sample.operations():
            answer = nobody.request(method, path, json=body)
            problem = refused(answer, 401, told=f"{method} {path}, {what}")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            told.add(problem["detail"])
    assert len(told) <= 2, told  # "send a token", "not this one": which mistake it was helps only the forger


@pytest.mark.clause("security: tokens verified")
def test_the_forger_s_tools_work(vtn: Vtn, forge: Forge) -> None:
    """What the issuer's own key signs with nothing changed is a token: the others fail for what they say."""
    honest = vtn.anyone(authorization=f"Bearer {forge.signed()}")
    assert honest.get("programs").status_code == 200


@pytest.mark.clause("security: tokens verified")
def test_without_a_token_or_with_another_scheme(vtn: Vtn, sample: Sample) -> None:
    token = vtn.token(vtn.usual("bl"))
    for scheme in SCHEMES:
        nobody = vtn.anyone(sample.dialect, authorization=scheme.format(token, token))
        for method, path, body in sample.operations():
            refused(nobody.request(method, path, json=body), 401, told=f"{method} {path}, {scheme}")
    absent = vtn.anyone(sample.dialect)
    for method, path, body in sample.operations():
        refused(absent.request(method, path, json=body), 401, told=f"{method} {path}, no header")


@pytest.mark.clause("security: tokens verified")
def test_a_revoked_client_is_out_within_a_second(vtn: Vtn) -> None:
    gone = vtn.enrol("ven")
    client = vtn.client(gone)
    assert client.get("programs").status_code == 200
    assert vtn.platform.run("client", "revoke", gone.client_id).returncode == 0
    vtn.platform.eventually(lambda: client.get("programs").status_code == 401, "the token ends")
