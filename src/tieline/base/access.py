"""Access: what a device may say and hear on the MQTT door, in exact topics."""

import re
from collections.abc import Awaitable, Callable

import msgspec

from tieline.base.errors import Refused

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}")


class Grant(msgspec.Struct, frozen=True):
    """Exact MQTT topics, no wildcards. An empty tuple grants nothing. Raises `Refused` for anything but plain levels:
    a character that the broker reads as syntax would widen the grant."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for topic in (*self.publish, *self.subscribe):
            if not _TOPIC.fullmatch(topic):
                raise Refused(f"topic {topic[:80]!r} is not 1 to 8 levels of A-Z a-z 0-9 _ - joined by /")


Decide = Callable[[str, str, str], Awaitable[Grant | None]]
"""(user, password, client id) of a device that connects → what it may do, or None: it may not connect."""
