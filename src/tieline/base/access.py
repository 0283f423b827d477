"""Access: who connects at the MQTT door, and what it may say and hear there, in exact topics or all below one."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from tieline.base.errors import Refused
from tieline.base.time import instant

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}")


class Proof(msgspec.Struct, frozen=True):
    """What a certificate that the broker has verified says: whose it is (its common name), until when, and what for
    (its organizational unit; empty: for whatever bears the name)."""

    name: str
    until: datetime
    purpose: str = ""


class Caller(msgspec.Struct, frozen=True):
    """A device that connects: who it says it is, and who it is proven to be where the broker asks for certificates."""

    user: str
    password: str
    mqtt_client_id: str
    proof: Proof | None = None

    def __repr__(self) -> str:
        return f"Caller({self.user!r}, {self.mqtt_client_id!r}, {self.proof!r})"


class Grant(msgspec.Struct, frozen=True):
    """Exact MQTT topics; to hear a place and all below it, `#` is the last level. An empty tuple grants nothing. At
    `until`, an instant, the broker disconnects. Under `label` the broker lists the connection, so that it can be found
    again. Raises `Refused` for anything but plain levels: a character that the broker reads as syntax would widen the
    grant."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    until: datetime | None = None
    label: str = ""

    def __post_init__(self) -> None:
        for topic in (*self.publish, *(topic.removesuffix("/#") for topic in self.subscribe)):
            if not _TOPIC.fullmatch(topic):
                raise Refused(f"topic {topic[:80]!r} is not 1 to 8 levels of A-Z a-z 0-9 _ - joined by /")
        if self.until is not None:
            instant(self.until)


class Session(msgspec.Struct, frozen=True):
    """A connection at the MQTT door: the label of its grant (else its user), and where in the broker it is."""

    label: str
    server: str
    cid: int


Decide = Callable[[Caller], Awaitable[Grant | None]]
"""What a device that connects may do, or None: it may not connect."""
