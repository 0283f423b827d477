"""Tokens as they travel: signed JWTs (RFC 7519, RFC 9068), opened without believing anything they say of themselves.

Whose key opens one and what its claims must be is the caller's to say. Whatever is wrong, the one who sent it is told
the same; the log at level debug is told what.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import UNSET, Raw, Struct, UnsetType

from tieline.base.errors import Unauthenticated
from tieline.identity.scopes import Role

log = structlog.get_logger(__name__)

LONGEST = 8192
"""Characters of a token; what is longer is not looked at."""
ALGORITHMS = frozenset(f"{family}{bits}" for family in ("ES", "RS", "PS") for bits in (256, 384, 512))
"""Those whose verifying key is public: with any other, whoever can verify a token could make one."""

ACCESS = "at+jwt"
"""The type that an access token's header names (RFC 9068 2.1): no other kind of token is taken for one."""

AnyKey: TypeAlias = ECKey | RSAKey
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class Header(Struct, frozen=True):
    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Raw | UnsetType = UNSET


class Rules(Struct, frozen=True, kw_only=True):
    """What the registered claims must be; any of the audiences will do."""

    issuer: str
    audiences: tuple[str, ...]
    audience_needed: bool = True
    leeway_s: int


OWN = Rules(issuer="tieline", audiences=("tieline-vtn",), leeway_s=5)
"""Of our own tokens; the leeway is for hosts of one platform whose clocks differ a little."""


class OwnClaims(Struct, frozen=True, kw_only=True):
    """What our own tokens say. `generation` counts the client's secrets: it tells which one the token was bought by."""

    iss: str
    aud: str
    sub: str
    client_id: str
    role: Role
    scope: str
    generation: int
    iat: int
    nbf: int
    exp: int
    jti: str


def refused(why: str) -> Unauthenticated:
    log.debug("token refused", why=why)
    return Unauthenticated("this token is not valid here, or no longer: fetch a new one where /auth/server says")


def header(token: str) -> Header:
    """Raises `Unauthenticated` for what is no token at all."""
    if len(token) > LONGEST or token.count(".") != 2:
        raise refused("not a signed token of a legal size")
    text = token.partition(".")[0]
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Header)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise refused(f"its header cannot be read: {error}") from None
    if found.crit is not UNSET:
        raise refused("it asks for an extension that is not known here (RFC 7515 4.1.11)")
    return found


def opened(token: str, key: AnyKey, algorithm: str, rules: Rules, now: datetime) -> dict[str, Any]:
    """The claims. Raises `Unauthenticated` unless the key signed them and they are meant for here and for now."""
    try:
        signed = jws.deserialize_compact(token, key, registry=_registry(algorithm))
        claims = msgspec.json.decode(signed.payload or b"", type=dict[str, Any])
        _registered(rules, now).validate(claims)
    except (JoseError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError) as error:
        raise refused(f"{type(error).__name__}: {error}") from None
    return claims


def _registry(algorithm: str) -> JWSRegistry:
    return JWSRegistry(algorithms=[algorithm], strict_check_header=False)


def _registered(rules: Rules, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=rules.leeway_s,
        iss={"essential": True, "value": rules.issuer},
        aud={"essential": rules.audience_needed, "values": list(rules.audiences)},
        exp={"essential": True},
    )


def expiry(exp: float) -> datetime:
    """Of the claim of a valid token. An issuer may write any number: near the end of time is the latest."""
    return datetime.fromtimestamp(min(exp, _LATEST), UTC)


def own(claims: Mapping[str, Any]) -> OwnClaims:
    """Raises `Unauthenticated` where one is missing or of another type."""
    try:
        return msgspec.convert(claims, OwnClaims)
    except msgspec.ValidationError as error:
        raise refused(str(error)) from None


def signed(claims: Mapping[str, Any], key: AnyKey, kid: str, algorithm: str) -> str:
    """An access token of these claims."""
    head = {"alg": algorithm, "kid": kid, "typ": ACCESS}
    return jwt.encode(head, dict(claims), key, registry=_registry(algorithm))
