"""Credentials: a secret of 256 random bits, known to its bearer; we keep only its digest."""

import hashlib
import hmac
import secrets

from tieline.base.access import Grant
from tieline.wires.mqtt import messages


def new_secret() -> str:
    """256 random bits. That much cannot be guessed, so a plain digest of it is safe to keep and quick to check."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, expected: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(digest(secret), expected)


def device_grant(ven_id: str) -> Grant:
    """A VEN speaks on its own three topics and hears its own one; nothing else exists for it."""
    return Grant(
        publish=tuple(messages.topic(kind, ven_id) for kind in (messages.METER, messages.LOADS, messages.ACK)),
        subscribe=(messages.topic(messages.COMMAND, ven_id),),
    )
