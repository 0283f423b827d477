"""An outside issuer's tokens: whose they are, in which role and with which scopes, by what the settings say of it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tieline.base.errors import Refused
from tieline.identity import scopes, tokens
from tieline.identity.model import Bearer
from tieline.identity.scopes import SCOPES, Role
from tieline.identity.tokens import Rules, refused

_CLIENT_CLAIMS = ("client_id", "azp", "sub")
_LONGEST_ID = 128
_LEEWAY_S = 30


class OutsideIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """How to read what an issuer says.

    `role_claim` names the claim, or with dots between a claim within claims, one of whose values is among `bl_values`
    or `ven_values`; without it scopes decide. `scope_prefix` is what the issuer puts before our scopes: others are then
    not ours. `token_use` is what that claim must be, for an issuer that writes it and names no audience in access
    tokens (Cognito); for all others `audiences` are needed. `insecure` lets it be reached by plain HTTP. Raises
    `Refused` for what would let in tokens that are not for us, with what to set.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    algorithms: frozenset[str] = frozenset({"ES256", "RS256"})
    role_claim: str = ""
    bl_values: frozenset[str] = frozenset({"BL"})
    ven_values: frozenset[str] = frozenset({"VEN"})
    client_claim: str = ""
    scope_prefix: str = ""
    token_use: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        if not self.issuer.startswith(("https://", "http://") if self.insecure else "https://"):
            raise Refused(f"oidc_issuer {self.issuer!r} is not an https:// URL")
        if not self.audiences and not self.token_use:
            raise Refused(
                "oidc_issuer needs TIELINE_OIDC_AUDIENCE: without it any token of that issuer would do. One that names "
                "no audience, such as Cognito, needs TIELINE_OIDC_TOKEN_USE=access instead"
            )
        if not self.audiences and not self.scope_prefix:
            raise Refused("without an audience only scopes tell what a token is for: set TIELINE_OIDC_SCOPE_PREFIX")
        if not self.algorithms or not self.algorithms <= tokens.ALGORITHMS:
            raise Refused(f"oidc_algorithms: choose of {', '.join(sorted(tokens.ALGORITHMS))}")

    @property
    def rules(self) -> Rules:
        return Rules(
            issuer=self.issuer,
            audiences=self.audiences,
            audience_needed=not self.token_use,
            leeway_s=_LEEWAY_S,
        )


def bearer(issuer: OutsideIssuer, claims: Mapping[str, Any]) -> Bearer:
    """Of claims that were found valid. Raises `Unauthenticated` where they name no client or no role of ours."""
    if issuer.token_use and claims.get("token_use") != issuer.token_use:
        raise refused(f"token_use is not {issuer.token_use}")
    named = _scopes(issuer, claims)
    role = _role(issuer, claims) if issuer.role_claim else scopes.role_of(named)
    if role is None:
        raise refused("neither scopes nor the claim that oidc_role_claim names tell BL or VEN")
    # An issuer that tells roles and knows nothing of scopes: the role opens all of its own.
    asked = None if issuer.role_claim and not issuer.scope_prefix and not named else named
    return Bearer(
        _client_id(issuer, claims), role, scopes.granted(role, SCOPES[role], asked), tokens.expiry(claims["exp"])
    )


def _client_id(issuer: OutsideIssuer, claims: Mapping[str, Any]) -> str:
    names = (issuer.client_claim,) if issuer.client_claim else _CLIENT_CLAIMS
    found = next((claims[name] for name in names if claims.get(name)), None)
    if not isinstance(found, str) or len(found) > _LONGEST_ID or not found.isprintable():
        raise refused(f"no client of 1 to {_LONGEST_ID} printable characters in claim {' or '.join(names)}")
    return found


def _scopes(issuer: OutsideIssuer, claims: Mapping[str, Any]) -> frozenset[str]:
    named = _words(claims.get("scope", claims.get("scp")))
    ours = {word.removeprefix(issuer.scope_prefix) for word in named if word.startswith(issuer.scope_prefix)}
    return scopes.KNOWN & ours


def _role(issuer: OutsideIssuer, claims: Mapping[str, Any]) -> Role | None:
    found: Any = claims.get(issuer.role_claim)
    if found is None:  # not by its whole name, which may be a URL with dots in it
        found = claims
        for name in issuer.role_claim.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    values = _words(found)
    if values & issuer.bl_values:
        return Role.BL
    return Role.VEN if values & issuer.ven_values else None


def _words(found: Any) -> frozenset[str]:
    """Of a list of words, or of a text with spaces between."""
    if isinstance(found, str):
        return frozenset(found.split())
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()
