"""The live door: server-sent events of what is said on the Log, and the fleet's power about each second.

What was said has its Log position as id, so that a browser that comes back (Last-Event-ID) misses nothing; the power
has none: after a gap the page asks for the chart again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from tieline.base.errors import Broken
from tieline.base.time import iso
from tieline.ports import Entry, Log, Rows
from tieline.telemetry import reads
from tieline.telemetry.fleet import Fleet

KINDS = {"news.event": "event", "news.statement": "statement"}
BEHIND = 1000
"""A reader that is further behind is cut off; it comes back with its Last-Event-ID and catches up from the Log."""


class LiveEvent(msgspec.Struct, frozen=True):
    event: str
    data: str
    id: str | None = None


async def live(log: Log, rows: Rows, fleet: Fleet, after: int | None) -> AsyncIterator[LiveEvent]:
    """For one reader, until it goes."""
    queue: asyncio.Queue[LiveEvent] = asyncio.Queue(BEHIND)
    tasks = [asyncio.create_task(_news(log, queue, after)), asyncio.create_task(_power(rows, fleet, queue))]
    try:
        while not any(task.done() for task in tasks):
            with suppress(TimeoutError):
                yield await asyncio.wait_for(queue.get(), 5)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _news(log: Log, queue: asyncio.Queue[LiveEvent], after: int | None) -> None:
    try:
        await _tell(log, queue, after)
    except Broken:  # the reader's last id is of another Log: it starts with what comes
        await _tell(log, queue, None)


async def _tell(log: Log, queue: asyncio.Queue[LiveEvent], after: int | None) -> None:
    async for entries in log.follow("news.>", after=after):
        for entry in entries:
            if (event := _event(entry)) is not None:
                queue.put_nowait(event)


def _event(entry: Entry) -> LiveEvent | None:
    kind = KINDS.get(".".join(entry.subject.split(".")[:2]))
    return None if kind is None else LiveEvent(kind, entry.data.decode(), str(entry.position))


async def _power(rows: Rows, fleet: Fleet, queue: asyncio.Queue[LiveEvent]) -> None:
    while True:
        now = await fleet.now()
        data = {
            "at": iso(now.now_at),
            "used_kw": now.power_kw,
            "controllable_kw": now.controllable_kw,
            "online": now.online,
            "stale": now.stale,
            "shedding": now.shedding,
            "vens": now.vens,
            "dead_letters": await reads.count_dead_letters(rows),
        }
        queue.put_nowait(LiveEvent("power", msgspec.json.encode(data).decode()))
        await asyncio.sleep(1)
