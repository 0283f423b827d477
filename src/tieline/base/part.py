"""What a slice offers the process: tasks that run for ever, routes at the HTTP door, doors of its own."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Task(msgspec.Struct, frozen=True):
    """A loop that runs until it is cancelled. One that ends or raises is started again, with back-off."""

    name: str
    run: Callable[[], Awaitable[None]]


class Part(msgspec.Struct, frozen=True):
    """A part of the platform as `tieline run PART…` names it. Routes are Litestar route handlers of /v1; `mounts` are
    ASGI applications by the path below which all is theirs."""

    name: str
    tasks: Sequence[Task] = ()
    routes: Sequence[object] = ()
    mounts: Mapping[str, Asgi] = msgspec.field(default_factory=dict)
