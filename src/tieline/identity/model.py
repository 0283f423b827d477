"""Who there is: devices and OAuth2 clients, known by secrets of 256 random bits of which we keep only the digest."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.access import Grant
from tieline.base.errors import Refused
from tieline.identity.scopes import SCOPES, Role, told
from tieline.wires.mqtt import messages

# Characters that HTTP Basic carries whether or not a client encodes them first, as RFC 6749 2.3.1 would have it.
_CLIENT_ID = re.compile(r"(?!tieline(-|\Z))[A-Za-z0-9._~@-]{1,128}")
PLATFORM = "tieline-"
"""How the MQTT client ids of the platform's own connections begin."""


# --- secrets ----------------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """256 random bits. That much cannot be guessed, so a plain digest of it is safe to keep and quick to check."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, expected: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(digest(secret), expected)


NOBODY = digest("nobody")
"""What the secret of somebody unknown is compared with, so that the answer takes as long."""


# --- clients ----------------------------------------------------------------------------------------------------------


def is_client_id(text: str) -> bool:
    """Whether a client of ours could be called so."""
    return _CLIENT_ID.fullmatch(text) is not None


class NewClient(msgspec.Struct, frozen=True):
    """A client to add; `scopes` are its role's unless fewer are named. Raises `Refused` for what none can be."""

    client_id: str
    name: str
    role: Role
    scopes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not is_client_id(self.client_id):
            raise Refused(
                f"client id {self.client_id[:140]!r} is not 1 to 128 of A-Z a-z 0-9 . _ ~ @ -, or is the platform's own"
            )
        if not 1 <= len(self.name) <= 200 or not self.name.isprintable():
            raise Refused("a client's name is 1 to 200 printable characters")
        if foreign := self.scopes - SCOPES[self.role]:
            raise Refused(f"scope {told(foreign)} is not for {self.role}: choose of {told(SCOPES[self.role])}")

    @property
    def held(self) -> frozenset[str]:
        return self.scopes or SCOPES[self.role]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth2 client as it stands."""

    client_id: str
    name: str
    role: Role
    scopes: list[str]
    created_at: datetime
    renewed_at: datetime | None
    revoked_at: datetime | None


class Bearer(msgspec.Struct, frozen=True):
    """Who sent a request, as its token says."""

    client_id: str
    role: Role
    scopes: frozenset[str]
    expires_at: datetime


# --- signing keys -----------------------------------------------------------------------------------------------------


class TokenPolicy(msgspec.Struct, frozen=True):
    """How our own tokens are made: how long one lasts, what signs it, and for how long one key does."""

    lifetime: timedelta = timedelta(minutes=60)
    algorithm: str = "ES256"
    key_age: timedelta = timedelta(days=90)


class SigningKey(msgspec.Struct, frozen=True):
    """A private key as PEM. From `retires_at` on nothing that it signed is valid; None while it is in use."""

    kid: str
    algorithm: str
    private_pem: str
    created_at: datetime
    retires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


# --- the certificate authority ----------------------------------------------------------------------------------------


class Root(msgspec.Struct, frozen=True):
    """The authority's own certificate, and its private key as `sealing` keeps it."""

    certificate_pem: str
    sealed_key: bytes
    created_at: datetime

    def __repr__(self) -> str:
        return f"Root(created_at={self.created_at})"


# --- the MQTT door ----------------------------------------------------------------------------------------------------


CLIENT = "client"
"""The purpose of a certificate that only an OAuth2 client can have: it never opens what a device of that name may."""


def device_grant(ven_id: str, until: datetime | None = None) -> Grant:
    """A VEN speaks on its own three topics and hears its own one; nothing else exists for it."""
    return Grant(
        publish=tuple(messages.topic(kind, ven_id) for kind in (messages.METER, messages.LOADS, messages.ACK)),
        subscribe=(messages.topic(messages.COMMAND, ven_id),),
        until=until,
    )


def listener_grant(places: Sequence[str], until: datetime | None = None) -> Grant:
    """To hear what is told at the places and below them, and to say nothing."""
    return Grant(subscribe=tuple(f"{place}/#" for place in places), until=until)
