"""What identity offers the process, as the settings choose: who verifies tokens, and who issues them."""

from datetime import timedelta
from typing import Protocol

import msgspec

from tieline.base.errors import Refused
from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.identity import devices, routes
from tieline.identity.authority import DEVICE_LASTS, Authority
from tieline.identity.devices import Door
from tieline.identity.discovery import Discovered
from tieline.identity.enrolment import Enroller
from tieline.identity.issuer import Issuer
from tieline.identity.keys import KeyRing
from tieline.identity.kicker import Kicker, Sessions
from tieline.identity.model import TokenPolicy
from tieline.identity.outside import OutsideIssuer
from tieline.identity.verification import OutsideTokens, OwnTokens, Verifier
from tieline.ports import Log, Rows


class Chosen(Protocol):
    """The settings that identity looks at; their meaning stands with them."""

    @property
    def loopback(self) -> bool: ...
    @property
    def development(self) -> bool: ...
    @property
    def anonymous_reads(self) -> bool: ...
    @property
    def issuer_public(self) -> bool: ...
    @property
    def token_minutes(self) -> int: ...
    @property
    def token_algorithm(self) -> str: ...
    @property
    def token_key_days(self) -> int: ...
    @property
    def oidc_issuer(self) -> str: ...
    @property
    def oidc_audience(self) -> str: ...
    @property
    def oidc_algorithms(self) -> str: ...
    @property
    def oidc_role_claim(self) -> str: ...
    @property
    def oidc_bl_values(self) -> str: ...
    @property
    def oidc_ven_values(self) -> str: ...
    @property
    def oidc_client_claim(self) -> str: ...
    @property
    def oidc_scope_prefix(self) -> str: ...
    @property
    def oidc_token_use(self) -> str: ...


class Identity(msgspec.Struct, frozen=True):
    """Either `issuer`, the embedded one, or `outside`, which tells where tokens are fetched."""

    verifier: Verifier
    issuer: Issuer | None
    outside: Discovered | None


def part(
    log: Log,
    rows: Rows,
    wall: Clock,
    door: Door,
    authority: Authority | None,
    sessions: Sessions | None,
    lasts: timedelta = DEVICE_LASTS,
) -> Part:
    """Its doors, as `routes.routes` and `devices.routes` describe them. Without `sessions`, those of the broker, nobody
    who is connected is disconnected before it leaves. `lasts`: a certificate of a device that enrolled."""
    served = [
        *routes.routes(door.trusted, authority, wall),
        *devices.routes(Enroller(rows, wall, authority, lasts), door, wall, lasts),
    ]
    kicking = [Task("kicker", Kicker(log, rows, sessions, wall).run)] if sessions else []
    return Part("identity", tasks=kicking, routes=served)


def identity(rows: Rows, clock: Clock, chosen: Chosen) -> Identity:
    """Raises `Refused` for an outside issuer that cannot be trusted as set. The clock is the wall's, be the platform's
    a simulated one: tokens are made and kept by machines that know no other."""
    if chosen.oidc_issuer:
        issuer = outside_issuer(chosen)
        discovered = Discovered(issuer, clock)
        return Identity(Verifier(OutsideTokens(issuer, clock, discovered), clock), None, discovered)
    policy = token_policy(chosen)
    keys = KeyRing(rows, clock, policy)
    return Identity(Verifier(OwnTokens(rows, clock, keys), clock), Issuer(rows, clock, policy, keys), None)


def token_policy(chosen: Chosen) -> TokenPolicy:
    return TokenPolicy(
        lifetime=timedelta(minutes=chosen.token_minutes),
        algorithm=chosen.token_algorithm,
        key_age=timedelta(days=chosen.token_key_days),
    )


def outside_issuer(chosen: Chosen) -> OutsideIssuer:
    """Raises `Refused`."""
    return OutsideIssuer(
        issuer=chosen.oidc_issuer,
        audiences=tuple(_listed(chosen.oidc_audience)),
        algorithms=frozenset(_listed(chosen.oidc_algorithms)),
        role_claim=chosen.oidc_role_claim,
        bl_values=frozenset(_listed(chosen.oidc_bl_values)),
        ven_values=frozenset(_listed(chosen.oidc_ven_values)),
        client_claim=chosen.oidc_client_claim,
        scope_prefix=chosen.oidc_scope_prefix,
        token_use=chosen.oidc_token_use,
        insecure=chosen.development,
    )


def check(chosen: Chosen) -> None:
    """Raises `Refused`, saying what to set, where the OpenADR doors would open more than was meant."""
    if chosen.anonymous_reads and not chosen.development:
        raise Refused("anonymous_reads shows programs and events to everybody: it needs TIELINE_DEVELOPMENT=true")
    if chosen.oidc_issuer:
        outside_issuer(chosen)
    elif not chosen.loopback and not chosen.issuer_public:
        raise Refused(
            "the embedded issuer of tokens would be reachable from other machines: set TIELINE_ISSUER_PUBLIC=true "
            "where TLS stands before it, set TIELINE_OIDC_ISSUER to another issuer, or listen on 127.0.0.1"
        )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
