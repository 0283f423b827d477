"""What a slice offers the process: tasks that run for ever and routes at the HTTP door."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Task(msgspec.Struct, frozen=True):
    """A loop that runs until it is cancelled. One that ends or raises is started again, with back-off."""

    name: str
    run: Callable[[], Awaitable[None]]


class Part(msgspec.Struct, frozen=True):
    """A part of the platform as `tieline run PART…` names it. Routes are Litestar route handlers."""

    name: str
    tasks: Sequence[Task] = ()
    routes: Sequence[object] = ()
