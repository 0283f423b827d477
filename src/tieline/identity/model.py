"""Who there is: devices and OAuth2 clients, known by secrets of 256 random bits of which we keep only the digest."""

import enum
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

_DEVICE = "device "


def device_purpose(generation: int) -> str:
    """Of a device's certificate: it is void when the credential on which it was issued is."""
    return f"{_DEVICE}{generation}"


def generation_of(purpose: str) -> int | None:
    """None for a certificate that another authority issued, which knows of no credential of ours."""
    said = purpose.removeprefix(_DEVICE)
    return int(said) if said != purpose and re.fullmatch(r"[0-9]{1,9}", said) else None


class Denied(enum.StrEnum):
    """Why somebody may not connect."""

    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong secret"  # noqa: S105  of a device that there is
    WRONG_TOKEN = "wrong token"  # noqa: S105  none, not valid, or another client's
    NO_CERTIFICATE = "no certificate"
    BAD_CERTIFICATE = "bad certificate"  # expired, or of an authority that is not trusted: TLS ends before we are asked
    OLD_CERTIFICATE = "old certificate"  # issued before the credential was renewed
    OTHER_USER = "another's user"  # than the one that the certificate names
    OTHER_CLIENT_ID = "another's client id"
    REVOKED = "revoked"
    FLOODING = "flooding"


def device_grant(ven_id: str, generation: int, until: datetime | None = None) -> Grant:
    """A VEN speaks and hears on the topics of its own id; nothing else exists for it."""
    return Grant(
        publish=tuple(messages.topic(kind, ven_id) for kind in messages.FROM_VEN),
        subscribe=tuple(messages.topic(kind, ven_id) for kind in messages.TO_VEN),
        until=until,
        label=device_label(ven_id, generation),
    )


def device_label(ven_id: str, generation: int) -> str:
    """As what the broker lists a device that is connected: whose it is, and by which of its credentials it came."""
    return f"device:{ven_id}:{generation}"


def labelled(label: str) -> tuple[str, int] | None:
    """The VEN and the generation; None for what is no device's label."""
    kind, _, rest = label.partition(":")
    ven_id, _, generation = rest.rpartition(":")
    return (ven_id, int(generation)) if kind == "device" and ven_id and generation.isdecimal() else None


def listener_grant(places: Sequence[str], until: datetime | None = None) -> Grant:
    """To hear what is told at the places and below them, and to say nothing."""
    return Grant(subscribe=tuple(f"{place}/#" for place in places), until=until)
