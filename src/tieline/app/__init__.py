"""The process: settings become ports (`ports`), ports become parts (`parts`), parts run until they are stopped."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from tieline import process
from tieline.app.parts import PARTS, assemble
from tieline.app.ports import Connection, Ports, opened, opened_store
from tieline.base.errors import Broken, Unready
from tieline.base.part import Task
from tieline.identity import part as identity
from tieline.settings import Settings

__all__ = ["PARTS", "Ports", "assemble", "opened_store", "run"]
log = structlog.get_logger(__name__)

GARBAGE = 100_000, 20, 50
"""So much is made before garbage is looked for: each look goes through all that a large fleet keeps alive."""

Announce = Callable[[str, Ports], Awaitable[None] | None]


async def run(
    settings: Settings,
    names: Sequence[str] = PARTS,
    *,
    announce: Announce | None = None,
    beside: Callable[[str], Sequence[Task]] = lambda _: (),
    until: Callable[[], Awaitable[None]] = process.until_stopped,
) -> None:
    """Run the chosen parts until stopped; `announce` is told the address once they answer.

    `beside` gives tasks to keep going next to the parts, of the address that they may call.
    """
    gc.set_threshold(*GARBAGE)
    if "vtn" in names:
        identity.check(settings)
    serves = bool({"api", "vtn"} & set(names))
    port = process.free_port(settings.http_host, settings.http_port) if serves else 0
    settings = msgspec.structs.replace(settings, http_port=port) if serves else settings
    async with opened(settings) as ports, contextlib.AsyncExitStack() as stack:
        assembled = assemble(settings, ports, names)
        if serves:
            await stack.enter_async_context(process.serving(assembled.http, settings.http_host, port))
        url = f"http://{settings.http_host}:{port}" if serves else ""
        if announce is not None and (told := announce(url, ports)) is not None:
            await told
        await process.run([*assembled.tasks, *beside(url)], lambda: _until_lost(ports.connection, until))
        if "telemetry" in names:
            with contextlib.suppress(Unready):
                await assembled.tail.seal()
        if ports.connection.is_closed:
            raise Broken("the connection to NATS was closed for good: start again, everything goes on where it was")
    log.info("stopped")


async def _until_lost(connection: Connection, until: Callable[[], Awaitable[None]]) -> None:
    stop = asyncio.ensure_future(until())
    while not stop.done() and not connection.is_closed:
        await asyncio.wait([stop], timeout=1)
    stop.cancel()
